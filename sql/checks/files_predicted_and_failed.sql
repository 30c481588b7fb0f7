-- Files with photos that left one run both as a prediction and as a failure: which of the two is true cannot be said.
-- Grain: one row per file. Relations: predictions, failures (run_id, gridimage_id, filename).
SELECT DISTINCT predictions.filename FROM predictions SEMI JOIN failures USING (run_id, gridimage_id)
UNION
SELECT DISTINCT failures.filename FROM failures SEMI JOIN predictions USING (run_id, gridimage_id)
ORDER BY filename
