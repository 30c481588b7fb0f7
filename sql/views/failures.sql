-- Photos that could not be used and still cannot: no later run has embedded or predicted them.
-- Grain: one row per photo: its newest failure (greatest run_id), the latest first.
-- Columns: title, photo_url; attempts (in a row), permanent (no run tries it again by itself), retry_after (UTC), due
-- (the next backfill tries it: retry_after is over, or the photo was updated since); the rest as in
-- schemas/failures.v1.json.
-- Example: SELECT gridimage_id, title, error_class, attempts, permanent, retry_after, due FROM failures
WITH newest AS (
    SELECT gridimage_id, max(run_id) AS run_id
    FROM {{failures}}
    GROUP BY gridimage_id
),
success AS (
    SELECT gridimage_id, run_id FROM predictions_all SEMI JOIN newest USING (gridimage_id)
    UNION ALL
    SELECT gridimage_id, run_id FROM {{embeddings}} SEMI JOIN newest USING (gridimage_id)
),
overtaken AS (
    SELECT DISTINCT gridimage_id
    FROM newest
    JOIN success USING (gridimage_id)
    WHERE success.run_id > newest.run_id
)
SELECT
    gridimage_id,
    photos.title,
    failed.stage,
    failed.error_class,
    failed.message,
    failed.attempts,
    failed.permanent,
    failed.retry_after,
    coalesce(
        failed.retry_after <= make_timestamp(epoch_us(now())) OR photos.updated_at > failed.failed_at, false
    ) AS due,
    failed.failed_at,
    replace({{photo_url}}, '{gridimage_id}', CAST(gridimage_id AS VARCHAR)) AS photo_url,
    failed.image_signature,
    failed.encoder_id,
    failed.head,
    failed.run_id
FROM {{failures}} AS failed
SEMI JOIN newest USING (gridimage_id, run_id)
ANTI JOIN overtaken USING (gridimage_id)
LEFT JOIN photos USING (gridimage_id)
ORDER BY failed.failed_at DESC, gridimage_id
