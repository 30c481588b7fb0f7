-- How many photos carry both of two tags; a tag with itself counts its photos.
-- Grain: one row per ordered pair of tags that occurs. Relations: known.
SELECT tag, other, count(*) AS photos
FROM (SELECT tag, unnest(tags) AS other FROM (SELECT tags, unnest(tags) AS tag FROM known))
GROUP BY ALL
ORDER BY ALL
