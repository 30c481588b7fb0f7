-- What each run did, as its record in runs/ says.
-- Grain: one row per run, the newest first. A run "running" while no command holds the lock was interrupted; what it
-- committed is good, and may be one chunk more than its record counts.
-- Columns: those of schemas/run.v1.json.
-- Example: SELECT run_id, command, status, predicted, failed, embedded FROM runs
SELECT *
FROM {{runs}}
ORDER BY run_id DESC
