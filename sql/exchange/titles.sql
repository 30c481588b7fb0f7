-- The hash of each photo's title as the catalogue has it now.
-- Grain: one row per photo, in order of ids. Relations: catalogue. $first, $last: ids, both included.
SELECT gridimage_id, md5(coalesce(title, '')) AS title_hash
FROM catalogue
WHERE gridimage_id BETWEEN $first AND $last
ORDER BY gridimage_id
