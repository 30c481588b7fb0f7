-- The photos asked for that the catalogue has.
-- Grain: one row per id. Relations: asked, catalogue.
SELECT gridimage_id
FROM asked
SEMI JOIN catalogue USING (gridimage_id)
ORDER BY gridimage_id
