-- Photos that were due and have not come out exactly once, as a prediction or as a failure: lost (0 times) or doubled.
-- Only after runs that did not redo anything; with $complete false, while some photos may still be pending.
-- Grain: one row per photo. Relations: due, predictions, failures.
WITH came_out AS (
    SELECT gridimage_id FROM predictions
    UNION ALL
    SELECT gridimage_id FROM failures
)
SELECT gridimage_id, count(came_out.gridimage_id) AS times
FROM due
LEFT JOIN came_out USING (gridimage_id)
GROUP BY gridimage_id
HAVING times > 1 OR (times = 0 AND $complete)
ORDER BY ALL
