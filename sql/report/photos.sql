-- What a page shows of photos: title, contributor and where the image is.
-- Grain: one row per photo asked for, by id. Relations: catalogue, asked.
SELECT gridimage_id, title, realname, grid_reference, image
FROM catalogue
SEMI JOIN asked USING (gridimage_id)
ORDER BY gridimage_id
