-- Photos that one run has predicted more than once with the same head.
-- Grain: one row per photo, head and run, at most 100. Relations: predictions.
SELECT head, run_id, gridimage_id, count(*) AS times
FROM predictions
GROUP BY head, run_id, gridimage_id
HAVING count(*) > 1
ORDER BY ALL
LIMIT 100
