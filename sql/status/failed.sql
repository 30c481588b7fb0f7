-- Photos that failed and have not been done since, by class.
-- Grain: one row per class of failure. Relations: failures.
SELECT
    error_class,
    count(*) AS photos,
    count(*) FILTER (permanent) AS permanent,
    count(*) FILTER (due) AS due,
    min(retry_after) AS next_retry
FROM failures
GROUP BY error_class
ORDER BY photos DESC, error_class
