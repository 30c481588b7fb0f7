-- Photos that one run has embedded more than once with the same encoder.
-- Grain: one row per photo, encoder and run, at most 100. Relations: embeddings.
SELECT encoder, run_id, gridimage_id, count(*) AS times
FROM embeddings
GROUP BY encoder, run_id, gridimage_id
HAVING count(*) > 1
ORDER BY ALL
LIMIT 100
