-- All labels of a range of photos.
-- Grain: one row per photo and label, by photo and tag_id. Relations: labels.
SELECT gridimage_id, label, score, source
FROM labels
ORDER BY gridimage_id, position, source
