-- Photos that another file of the catalogue has already.
-- Grain: one row. Relations: photo_ids; others, the catalogue's other files.
SELECT count(*) AS photos, min(gridimage_id) AS first_id
FROM photo_ids
SEMI JOIN {{others}} USING (gridimage_id)
