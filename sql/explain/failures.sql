-- Each time one photo could not be used, the newest first.
-- Grain: one row per attempt; `stands` where it is the newest and no later embedding or prediction has overtaken it. Relations:
-- failures (all of them), standing (as the view failures). $gridimage_id: the photo.
SELECT
    failures.run_id,
    failures.stage,
    failures.error_class,
    failures.message,
    failures.attempts,
    failures.permanent,
    failures.failed_at,
    failures.retry_after,
    coalesce(standing.due, false) AS due,
    standing.run_id IS NOT NULL AS stands
FROM failures
LEFT JOIN (SELECT run_id, due FROM standing WHERE gridimage_id = $gridimage_id) AS standing USING (run_id)
WHERE failures.gridimage_id = $gridimage_id
ORDER BY failures.run_id DESC
