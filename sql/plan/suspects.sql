-- Blocks of 16 ids that may hold a pending photo: all but those whose every photo is plainly up to date.
-- The cheap first look, for nights with little to do: eight million photos come down to half a million sums on either
-- side, and only blocks whose sums differ are looked at photo by photo (candidates.sql).
-- Grain: one row per block. Relations: wanted, done, repeated. $everything: take all blocks that have a photo.
CREATE OR REPLACE TEMP TABLE suspects AS
WITH due AS (
    SELECT
        gridimage_id >> 4 AS block,
        bit_or(CAST(1 AS USMALLINT) << CAST(gridimage_id & 15 AS USMALLINT)) AS ids,
        bit_xor(hash(gridimage_id, made_from)) AS made_from,
        max(updated_at) AS updated_at
    FROM wanted
    GROUP BY block
),
found AS (
    SELECT
        due.block,
        count(*) AS results,
        bit_or(CAST(1 AS USMALLINT) << CAST(done.gridimage_id & 15 AS USMALLINT)) AS ids,
        bit_xor(hash(done.gridimage_id, done.made_from)) AS made_from,
        min(done_at) AS done_at
    FROM done
    ANTI JOIN repeated ON done.gridimage_id = repeated.gridimage_id AND done.run_id < repeated.run_id
    JOIN due ON done.gridimage_id >> 4 = due.block
    WHERE NOT $everything AND (due.ids >> CAST(done.gridimage_id & 15 AS USMALLINT)) & 1 = 1
    GROUP BY due.block
)
SELECT block
FROM due
LEFT JOIN found USING (block)
WHERE
    found.block IS NULL
    OR found.results > bit_count(found.ids)
    OR found.made_from <> due.made_from
    OR due.updated_at > found.done_at
