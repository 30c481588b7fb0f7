-- Files that hold a photo which an earlier file of the same run and owner (head or encoder) holds already.
-- Grain: one row per file. Relations: committed (owner, run_id, gridimage_id, filename).
WITH repeated AS (
    SELECT owner, run_id, gridimage_id, min(filename) AS first_file
    FROM committed
    GROUP BY owner, run_id, gridimage_id
    HAVING count(*) > 1
)
SELECT DISTINCT filename
FROM committed
JOIN repeated USING (owner, run_id, gridimage_id)
WHERE filename > first_file
ORDER BY filename
