-- How many photos each encoder has embedded.
-- Grain: one row per encoder. Relations: embeddings.
SELECT encoder, count(DISTINCT gridimage_id) AS photos
FROM embeddings
GROUP BY encoder
ORDER BY encoder
