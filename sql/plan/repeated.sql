-- The newest result of photos that have more than one. Most have one, so grouping by photo, which is dear, is kept to ids
-- found by blocks of 64, a bit each: the way of sql/views/predictions_newest.sql, which explains it.
-- Grain: one row per photo with several results. Relations: done. $everything: not asked for; none.
CREATE OR REPLACE TEMP TABLE repeated AS
WITH blocks AS (
    SELECT
        gridimage_id >> 6 AS block,
        count(*) AS results,
        bit_or(CAST(1 AS UBIGINT) << CAST(gridimage_id & 63 AS UBIGINT)) AS seen,
        bit_xor(CAST(1 AS UBIGINT) << CAST(gridimage_id & 63 AS UBIGINT)) AS odd
    FROM done
    WHERE NOT $everything
    GROUP BY block
    HAVING results > bit_count(seen)
),
crowded AS (
    SELECT (block << 6) + place AS gridimage_id
    FROM blocks, range(64) AS places(place)
    WHERE
        (CASE WHEN results - bit_count(seen) = bit_count(xor(seen, odd)) THEN xor(seen, odd) ELSE seen END
            >> CAST(place AS UBIGINT)) & 1 = 1
)
SELECT gridimage_id, max(run_id) AS run_id
FROM done
SEMI JOIN crowded USING (gridimage_id)
GROUP BY gridimage_id
HAVING count(*) > 1
