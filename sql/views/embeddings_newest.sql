-- The vectors of each photo, as stored: by the encoder of the head in use, or by the only one there is.
-- Grain: one row per photo that this encoder has embedded, the newest of its embeddings.
-- Columns: encoder, image_embedding and title_embedding (raw, not normalised; null if there is none), title_hash,
-- image_signature, precision, run_id (schemas/embeddings.v1.json).
-- Example: SELECT gridimage_id, len(image_embedding) AS length, run_id FROM embeddings_newest ORDER BY gridimage_id LIMIT 3
--
-- As predictions_newest, so that no photo is asked for its newest row that has one alone.
WITH repeated AS (
    {{repeated_embeddings}}
),
newest AS (
    SELECT gridimage_id, max(run_id) AS run_id
    FROM {{vectors}}
    SEMI JOIN repeated USING (gridimage_id)
    WHERE encoder = {{searched}}
    GROUP BY gridimage_id
)
SELECT
    embedded.encoder,
    embedded.gridimage_id,
    embedded.image_embedding,
    embedded.title_embedding,
    embedded.title_hash,
    embedded.image_signature,
    embedded.precision,
    embedded.run_id
FROM {{vectors}} AS embedded
LEFT JOIN newest USING (gridimage_id)
WHERE embedded.encoder = {{searched}} AND embedded.run_id = coalesce(newest.run_id, embedded.run_id)
