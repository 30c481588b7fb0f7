-- How many photos each head has predicted, and when last.
-- Grain: one row per head. Relations: predictions_all.
SELECT head, count(DISTINCT gridimage_id) AS photos, max(run_id) AS last_run
FROM predictions_all
GROUP BY head
ORDER BY head
