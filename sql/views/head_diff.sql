-- Where two heads disagree.
-- Grain: one row per photo and pair of heads (head_a < head_b) whose newest tags differ.
-- Columns: tags_a, tags_b, only_a, only_b, run_id_a, run_id_b.
-- Example: SELECT gridimage_id, head_a, head_b, only_a, only_b FROM head_diff
--
-- Newest is of the greatest run_id, for each head. Blocks of 16 ids that only one head has seen are left out first,
-- at the price of reading one column.
WITH shared AS (
    SELECT gridimage_id >> 4 AS block
    FROM predictions_all
    GROUP BY block
    HAVING min(head) < max(head)
),
newest AS (
    SELECT head, gridimage_id, max(run_id) AS run_id
    FROM predictions_all
    WHERE gridimage_id >> 4 IN (FROM shared)
    GROUP BY head, gridimage_id
),
predicted AS (
    SELECT head, gridimage_id, run_id, tags
    FROM predictions_all
    JOIN newest USING (head, gridimage_id, run_id)
)
SELECT
    gridimage_id,
    a.head AS head_a,
    b.head AS head_b,
    a.tags AS tags_a,
    b.tags AS tags_b,
    list_filter(a.tags, lambda tag: tag NOT IN b.tags) AS only_a,
    list_filter(b.tags, lambda tag: tag NOT IN a.tags) AS only_b,
    a.run_id AS run_id_a,
    b.run_id AS run_id_b
FROM predicted AS a
JOIN predicted AS b USING (gridimage_id)
WHERE a.head < b.head AND a.tags <> b.tags
ORDER BY gridimage_id, head_a, head_b
