-- What is wrong with the catalogue's ids.
-- Grain: one row. Relations: catalogue.
-- Repeated ids are found by blocks of 64, a bit for each id, which costs a fraction of grouping by id.
WITH blocks AS (
    SELECT
        count(*) AS photos,
        count(*) FILTER (gridimage_id IS NULL) AS without_id,
        count(*) FILTER (gridimage_id < 0) AS negative,
        count(gridimage_id) - bit_count(bit_or(CAST(1 AS UBIGINT) << CAST(gridimage_id & 63 AS UBIGINT))) AS repeated
    FROM catalogue
    GROUP BY gridimage_id >> 6
)
SELECT
    CAST(coalesce(sum(photos), 0) AS BIGINT) AS photos,
    CAST(coalesce(sum(without_id), 0) AS BIGINT) AS without_id,
    CAST(coalesce(sum(negative), 0) AS BIGINT) AS negative,
    CAST(coalesce(sum(repeated), 0) AS BIGINT) AS repeated
FROM blocks
