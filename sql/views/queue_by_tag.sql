-- How much waits for review by tag; queue_for_tag('Paths') shows the photos.
-- Grain: one row per tag that waits somewhere, the most waited for first.
-- Columns: waiting (photos with that tag undecided), forced (of those, by the at-least-one rule alone), mean_score (of
-- that tag), mean_set_probability.
-- Example: FROM queue_by_tag
WITH undecided AS (
    SELECT unnest(undecided) AS tag, scores, forced, set_probability
    FROM waiting
)
SELECT
    tags.tag_id,
    tag,
    tags.tag_group,
    count(*) AS waiting,
    count(*) FILTER (undecided.forced) AS forced,
    avg(undecided.scores[tags.position]) AS mean_score,
    avg(undecided.set_probability) AS mean_set_probability
FROM undecided
JOIN tags USING (tag)
GROUP BY tags.tag_id, tag, tags.tag_group
ORDER BY waiting DESC, tags.tag_id
