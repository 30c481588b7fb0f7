-- How many photos carry each tag, and the first few of them.
-- Grain: one row per tag that a photo carries. Relations: known. $examples: how many ids.
SELECT tag, count(*) AS photos, min(gridimage_id, $examples) AS examples
FROM (SELECT gridimage_id, unnest(tags) AS tag FROM known)
GROUP BY tag
ORDER BY photos DESC, tag
