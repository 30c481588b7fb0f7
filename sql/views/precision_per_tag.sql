-- How often the tags that the current head gives were found right, as far as people have decided.
-- Grain: one row per tag, all 49, the most decided first.
-- Columns: decided (photos whose newest prediction has the tag, and somebody said whether it is right), found_right,
-- found_wrong, precision (found_right / decided, null where none is decided), low, high (Wilson's interval of 95 %),
-- missed (photos for which people gave the tag and the head does not).
-- Example: SELECT tag, decided, found_right, found_wrong, precision, missed FROM precision_per_tag WHERE decided +
-- missed > 0
--
-- It speaks of what people looked at: where they took the least certain first, it is worse than over all predictions.
-- Decisions count whichever head they were made against. Interval: Wilson, JASA 22 (1927), with z = 1.96.
WITH predicted AS (
    SELECT gridimage_id, unnest(tags) AS tag
    FROM predictions_newest
    WHERE gridimage_id IN (SELECT gridimage_id FROM decisions_newest)
),
judged AS (
    SELECT
        decided.tag,
        predicted.tag IS NOT NULL AS given,
        decided.decision <> 'reject' AS found_right
    FROM decisions_newest AS decided
    LEFT JOIN predicted ON predicted.gridimage_id = decided.gridimage_id AND predicted.tag = decided.tag
    WHERE decided.gridimage_id IN (SELECT gridimage_id FROM predicted)
),
counted AS (
    SELECT
        tag,
        count(*) FILTER (given) AS decided,
        count(*) FILTER (given AND found_right) AS found_right,
        count(*) FILTER (NOT given AND found_right) AS missed
    FROM judged
    GROUP BY tag
),
shared AS (
    SELECT *, found_right / nullif(decided, 0) AS precision, 1.959964 ^ 2 / nullif(decided, 0) AS z2n
    FROM counted
)
SELECT
    tags.tag_id,
    tag,
    tags.tag_group,
    coalesce(decided, 0) AS decided,
    coalesce(found_right, 0) AS found_right,
    coalesce(decided - found_right, 0) AS found_wrong,
    precision,
    (precision + z2n / 2 - sqrt(z2n * precision * (1 - precision) + z2n ^ 2 / 4)) / (1 + z2n) AS low,
    (precision + z2n / 2 + sqrt(z2n * precision * (1 - precision) + z2n ^ 2 / 4)) / (1 + z2n) AS high,
    coalesce(missed, 0) AS missed
FROM tags
LEFT JOIN shared USING (tag)
ORDER BY decided DESC, tags.tag_id
