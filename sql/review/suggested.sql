-- How many photos each tag is suggested for.
-- Grain: one row per tag that is suggested at all.
-- Columns: position (of the tag, from 0), photos.
SELECT each.position AS position, count(*) AS photos
FROM (SELECT suggested, unnest(candidates) AS each FROM {{queue}})
WHERE (suggested >> each.position) & 1 = 1
GROUP BY position
