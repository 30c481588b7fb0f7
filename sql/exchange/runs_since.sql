-- The first run that may have committed anything at a time or later. One that did not say when it ended (it is under way,
-- or was killed) ended before the next one began, for only one holds the lock.
-- Grain: one row; null if there is no such run. Relations: runs. $since: UTC.
SELECT min(run_id) AS run_id
FROM (
    SELECT
        run_id,
        coalesce(finished_at, lead(started_at) OVER (ORDER BY run_id), CAST('infinity' AS TIMESTAMP)) AS ended_at
    FROM runs
)
WHERE ended_at >= $since
