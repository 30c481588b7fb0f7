-- Ids that were asked for by name and are not in the catalogue.
-- Grain: one row per id. Relations: asked, catalogue.
SELECT gridimage_id
FROM asked ANTI JOIN catalogue USING (gridimage_id)
ORDER BY gridimage_id
