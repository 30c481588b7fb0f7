-- Which tags two heads give differently, and how often; head_diff shows the photos.
-- Grain: one row per pair of heads (head_a < head_b) and tag that one of them gives to a photo and the other does not.
-- Columns: only_a, only_b (photos whose newest prediction by that head alone has the tag).
-- Example: FROM head_flips
WITH flipped AS (
    SELECT head_a, head_b, unnest(only_a) AS tag, true AS by_a FROM head_diff
    UNION ALL
    SELECT head_a, head_b, unnest(only_b), false FROM head_diff
)
SELECT
    head_a,
    head_b,
    tag,
    count(*) FILTER (by_a) AS only_a,
    count(*) FILTER (NOT by_a) AS only_b
FROM flipped
GROUP BY head_a, head_b, tag
ORDER BY head_a, head_b, only_a + only_b DESC, tag
