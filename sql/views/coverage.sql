-- How far the archive is done, by blocks of 50,000 ids.
-- Grain: one row per block that has a photo in the catalogue, or anything committed.
-- Columns: block (gridimage_id // 50000), first_id, last_id, photos, tagged (carry one of the 49 tags), predicted (by
-- the current head), embedded (by its encoder; by any where no head is in use), failed (and still standing). A
-- withdrawn photo is not counted in photos, but in the rest until `geotag prune --withdrawn`.
-- Example: FROM coverage
WITH counted AS (
    SELECT
        gridimage_id // 50000 AS block,
        count(*) AS photos,
        count(*) FILTER (tagged) AS tagged,
        0 AS predicted,
        0 AS embedded,
        0 AS failed
    FROM photos
    GROUP BY block
    UNION ALL
    SELECT gridimage_id // 50000, 0, 0, count(DISTINCT gridimage_id), 0, 0
    FROM predictions_all
    WHERE head = {{head}}
    GROUP BY ALL
    UNION ALL
    SELECT gridimage_id // 50000, 0, 0, 0, count(DISTINCT gridimage_id), 0
    FROM {{embeddings}}
    WHERE encoder = coalesce({{encoder}}, encoder)
    GROUP BY ALL
    UNION ALL
    SELECT gridimage_id // 50000, 0, 0, 0, 0, count(*)
    FROM failures
    GROUP BY ALL
)
SELECT
    block,
    block * 50000 AS first_id,
    block * 50000 + 49999 AS last_id,
    CAST(sum(photos) AS BIGINT) AS photos,
    CAST(sum(tagged) AS BIGINT) AS tagged,
    CAST(sum(predicted) AS BIGINT) AS predicted,
    CAST(sum(embedded) AS BIGINT) AS embedded,
    CAST(sum(failed) AS BIGINT) AS failed
FROM counted
GROUP BY block
ORDER BY block
