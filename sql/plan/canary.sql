-- What the catalogue says now of photos that were embedded before.
-- Grain: one row per photo of $ids that the catalogue still has. Relations: catalogue. $ids: list of ids.
SELECT gridimage_id, coalesce(title, '') AS title, md5(coalesce(title, '')) AS title_hash, image
FROM catalogue
WHERE gridimage_id IN (SELECT unnest($ids))
