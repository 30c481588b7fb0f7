-- The photos with more than one row in a relation, and rarely some with one: what is dear, grouping by photo, can be kept
-- to them. A part of other statements.
-- Grain: one row per photo. Built over a relation with gridimage_id.
-- They are found by blocks of 64 ids, a bit each: where there are more rows than distinct ids (`seen`), the ids seen twice
-- have dropped out of the exclusive or (`odd`), unless one was seen three times: then all ids of the block are taken.
SELECT (block << 6) + place AS gridimage_id
FROM
    (
        SELECT
            gridimage_id >> 6 AS block,
            count(*) AS results,
            bit_or(CAST(1 AS UBIGINT) << CAST(gridimage_id & 63 AS UBIGINT)) AS seen,
            bit_xor(CAST(1 AS UBIGINT) << CAST(gridimage_id & 63 AS UBIGINT)) AS odd
        FROM {{rows}}
        GROUP BY block
        HAVING results > bit_count(seen)
    ) AS blocks,
    range(64) AS places(place)
WHERE
    (CASE WHEN results - bit_count(seen) = bit_count(xor(seen, odd)) THEN xor(seen, odd) ELSE seen END
        >> CAST(place AS UBIGINT)) & 1 = 1
