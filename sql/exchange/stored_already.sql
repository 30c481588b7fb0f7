-- Some photos that have vectors of an encoder and are about to get more of them.
-- Grain: one row per photo, at most $most, in order of ids. Relations: stored; arriving (block of 64 ids, bits: a bit each).
-- $encoder: encoder_id.
SELECT DISTINCT gridimage_id
FROM stored
JOIN arriving ON arriving.block = gridimage_id >> 6
WHERE encoder = $encoder AND (arriving.bits >> CAST(gridimage_id & 63 AS UBIGINT)) & 1 = 1
ORDER BY gridimage_id
LIMIT $most
