-- Photos that left one run both as a prediction and as a failure.
-- Grain: one row per photo and run, at most 100. Relations: predictions, failures.
SELECT run_id, gridimage_id
FROM predictions
SEMI JOIN failures USING (run_id, gridimage_id)
ORDER BY ALL
LIMIT 100
