-- Photos that came out of runs in which they were not due.
-- Grain: one row per dataset and photo. Relations: due, embeddings, predictions, failures.
WITH came_out AS (
    SELECT 'embeddings' AS dataset, gridimage_id FROM embeddings
    UNION ALL
    SELECT 'predictions', gridimage_id FROM predictions
    UNION ALL
    SELECT 'failures', gridimage_id FROM failures
)
SELECT DISTINCT dataset, gridimage_id
FROM came_out
ANTI JOIN due USING (gridimage_id)
ORDER BY ALL
