-- The photos that a head can learn from or has to leave out: tagged and decided ones, with where their embedding is.
-- Grain: one row per selected photo, by id. Relations: selected, embedded, catalogue, reviewed.
-- tags: the catalogue's; given, rejected: by people, null where nobody has decided.
-- embedding_file: null where the photo is not embedded, or its title has changed since.
SELECT
    p.gridimage_id,
    catalogue.tags,
    reviewed.given,
    reviewed.rejected,
    p.latitude,
    p.longitude,
    CASE WHEN embedded.title_hash IS NULL OR embedded.title_hash = p.title_hash THEN embedded.filename END
        AS embedding_file
FROM selected AS p
JOIN catalogue USING (gridimage_id)
LEFT JOIN embedded USING (gridimage_id)
LEFT JOIN reviewed USING (gridimage_id)
ORDER BY p.gridimage_id
