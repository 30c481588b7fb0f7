-- Photos that have been embedded more than once, although nothing about them had changed.
-- Only after runs that did not redo anything. Grain: one row per photo and encoder. Relations: embeddings.
SELECT encoder, gridimage_id, count(*) AS times
FROM embeddings
GROUP BY encoder, gridimage_id
HAVING count(*) > 1
ORDER BY ALL
