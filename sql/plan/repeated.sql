-- The newest result of photos that have more than one. Most have one, so grouping by photo, which is dear, is kept to
-- blocks of 16 ids that have more results than distinct ids (a bit each).
-- Grain: one row per photo with several results. Relations: done. $everything: not asked for; none.
CREATE OR REPLACE TEMP TABLE repeated AS
WITH crowded AS (
    SELECT gridimage_id >> 4 AS block
    FROM done
    WHERE NOT $everything
    GROUP BY block
    HAVING count(*) > bit_count(bit_or(CAST(1 AS USMALLINT) << CAST(gridimage_id & 15 AS USMALLINT)))
)
SELECT gridimage_id, max(run_id) AS run_id
FROM done
SEMI JOIN crowded ON gridimage_id >> 4 = block
GROUP BY gridimage_id
HAVING count(*) > 1
