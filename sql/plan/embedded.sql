-- The newest embedding row of each photo by the encoder: that of the greatest run_id.
-- Grain: one row per candidate that the encoder has embedded. Relations: embeddings, candidates.
-- $encoder: encoder_id.  An image embedding is there where image_signature is not null (schemas/embeddings.v1.json),
-- so that no vector is read here.
CREATE OR REPLACE TEMP TABLE embedded AS
WITH newest AS (
    SELECT gridimage_id, max(run_id) AS run_id
    FROM embeddings
    SEMI JOIN candidates USING (gridimage_id)
    WHERE encoder = $encoder
    GROUP BY gridimage_id
)
SELECT
    gridimage_id,
    run_id,
    strptime(left(run_id, 16), '%Y%m%dT%H%M%SZ') AS embedded_at,
    title_hash,
    image_signature,
    filename
FROM embeddings
SEMI JOIN newest USING (gridimage_id, run_id)
WHERE encoder = $encoder
