-- The photos that carry a tag: by contributors and decisions, or by the newest prediction of the head in use where nobody
-- has rejected it.
-- Grain: one row per photo, by id. Relations: effective_tags, predictions_newest, decisions_by_photo.
-- $tag: one of the 49.
SELECT gridimage_id
FROM effective_tags
WHERE list_contains(tags, $tag)
UNION
SELECT gridimage_id
FROM predictions_newest
ANTI JOIN (FROM decisions_by_photo WHERE list_contains(rejected, $tag)) AS refused USING (gridimage_id)
WHERE list_contains(tags, $tag)
ORDER BY gridimage_id
