-- Which photos the catalogue has, a bit each.
-- Grain: one row per block of 64 ids that has a photo, in order. Relations: catalogue.
SELECT gridimage_id >> 6 AS block, bit_or(CAST(1 AS UBIGINT) << CAST(gridimage_id & 63 AS UBIGINT)) AS bits
FROM catalogue
GROUP BY block
ORDER BY block
