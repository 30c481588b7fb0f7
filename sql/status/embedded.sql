-- How many photos each encoder has embedded, counted by blocks of 16 ids, a bit each.
-- Grain: one row per encoder. Relations: embeddings.
WITH blocks AS (
    SELECT encoder, bit_or(CAST(1 AS USMALLINT) << CAST(gridimage_id & 15 AS USMALLINT)) AS ids
    FROM embeddings
    GROUP BY encoder, gridimage_id >> 4
)
SELECT encoder, CAST(sum(bit_count(ids)) AS BIGINT) AS photos
FROM blocks
GROUP BY encoder
ORDER BY encoder
