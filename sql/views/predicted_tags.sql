-- The tags that the current head gives now and nobody has decided on.
-- Grain: one row per photo and tag of its newest prediction, without those in decisions_newest.
-- Columns: score (of that tag), tag_group, forced (only the at-least-one rule gave it), photo_url, run_id.
-- Example: SELECT gridimage_id, tag, score, forced FROM predicted_tags ORDER BY gridimage_id, tag LIMIT 3
SELECT
    predicted.gridimage_id,
    predicted.tag,
    predicted.scores[tags.position] AS score,
    tags.tag_group,
    predicted.forced,
    predicted.photo_url,
    predicted.run_id
FROM (SELECT *, unnest(tags) AS tag FROM predictions_newest) AS predicted
LEFT JOIN tags USING (tag)
ANTI JOIN decisions_newest AS decided ON decided.gridimage_id = predicted.gridimage_id AND decided.tag = predicted.tag
