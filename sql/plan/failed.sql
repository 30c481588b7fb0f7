-- The newest failure of each photo, as far as no later embedding or prediction has overtaken it.
-- Grain: one row per candidate whose newest failure still stands, due or not.
-- Relations: failures, candidates, embeddings, predictions.
-- $head, $encoder: failures that concern another head or encoder do not count.
CREATE OR REPLACE TEMP TABLE failed AS
WITH concerning AS (
    SELECT *
    FROM failures
    SEMI JOIN candidates USING (gridimage_id)
    WHERE (encoder_id IS NULL OR encoder_id = $encoder) AND (head IS NULL OR head = $head)
),
newest AS (
    SELECT gridimage_id, max(run_id) AS run_id
    FROM concerning
    GROUP BY gridimage_id
),
success AS (
    SELECT gridimage_id, run_id
    FROM predictions SEMI JOIN newest USING (gridimage_id)
    UNION ALL
    SELECT gridimage_id, run_id
    FROM embeddings SEMI JOIN newest USING (gridimage_id)
),
overtaken AS (
    SELECT gridimage_id
    FROM newest JOIN success USING (gridimage_id)
    WHERE success.run_id > newest.run_id
)
SELECT gridimage_id, attempts, permanent, retry_after, failed_at, image_signature
FROM concerning
SEMI JOIN newest USING (gridimage_id, run_id)
ANTI JOIN overtaken USING (gridimage_id)
