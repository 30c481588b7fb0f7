-- How often each tag is predicted now, and how often contributors gave it.
-- Grain: one row per tag, all 49, the most predicted first.
-- Columns: predicted (photos whose newest prediction by the current head has it), forced (of those, by the
-- at-least-one rule alone), contributed (photos that carry it in the catalogue).
-- Example: FROM tag_counts LIMIT 3
WITH predicted AS (
    SELECT tag, count(*) AS photos, count(*) FILTER (forced) AS forced
    FROM (SELECT unnest(tags) AS tag, forced FROM predictions_newest)
    GROUP BY tag
),
contributed AS (
    SELECT tag, count(*) AS photos
    FROM (SELECT unnest(list_distinct(tags)) AS tag FROM photos WHERE tagged)
    GROUP BY tag
)
SELECT
    tags.tag_id,
    tag,
    tags.tag_group,
    coalesce(predicted.photos, 0) AS predicted,
    coalesce(predicted.forced, 0) AS forced,
    coalesce(contributed.photos, 0) AS contributed
FROM tags
LEFT JOIN predicted USING (tag)
LEFT JOIN contributed USING (tag)
ORDER BY predicted DESC, tags.tag_id
