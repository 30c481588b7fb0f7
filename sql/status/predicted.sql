-- How many photos each head has predicted, counted by blocks of 16 ids, a bit each.
-- Grain: one row per head. Relations: predictions_all.
WITH blocks AS (
    SELECT head, bit_or(CAST(1 AS USMALLINT) << CAST(gridimage_id & 15 AS USMALLINT)) AS ids
    FROM predictions_all
    GROUP BY head, gridimage_id >> 4
)
SELECT head, CAST(sum(bit_count(ids)) AS BIGINT) AS photos
FROM blocks
GROUP BY head
ORDER BY head
