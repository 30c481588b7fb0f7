-- How many photos carry how many of the 49 tags.
-- Grain: one row per number of tags. Relations: known.
SELECT len(tags) AS tags, count(*) AS photos
FROM known
GROUP BY ALL
ORDER BY tags
