-- Where two heads disagree.
-- Grain: one row per photo and pair of heads (head_a < head_b) whose newest tags differ.
-- Columns: tags_a, tags_b, only_a, only_b, run_id_a, run_id_b.
--
-- Newest as in predictions_newest, for each head. Only photos that two heads have predicted are looked at further.
WITH newest AS (
    SELECT gridimage_id, head, max(run_id) AS run_id
    FROM predictions_all
    GROUP BY gridimage_id, head
),
pairs AS (
    SELECT gridimage_id, a.head AS head_a, b.head AS head_b, a.run_id AS run_id_a, b.run_id AS run_id_b
    FROM newest AS a
    JOIN newest AS b USING (gridimage_id)
    WHERE a.head < b.head
)
SELECT
    gridimage_id,
    pairs.head_a,
    pairs.head_b,
    a.tags AS tags_a,
    b.tags AS tags_b,
    list_filter(a.tags, lambda tag: tag NOT IN b.tags) AS only_a,
    list_filter(b.tags, lambda tag: tag NOT IN a.tags) AS only_b,
    pairs.run_id_a,
    pairs.run_id_b
FROM pairs
JOIN predictions_all AS a USING (gridimage_id)
JOIN predictions_all AS b USING (gridimage_id)
WHERE
    a.head = pairs.head_a AND a.run_id = pairs.run_id_a
    AND b.head = pairs.head_b AND b.run_id = pairs.run_id_b
    AND a.tags <> b.tags
