-- Bring settled up to date for the photos that decisions were read of.
-- Grain: one row per photo.
-- $files: files of the decisions dataset.
INSERT OR REPLACE INTO settled
SELECT
    gridimage_id,
    CAST(coalesce(sum(CAST(1 AS BIGINT) << position) FILTER (decision <> 'withdraw'), 0) AS BIGINT)
FROM words
WHERE gridimage_id IN (SELECT gridimage_id FROM read_parquet($files, hive_partitioning = false))
GROUP BY gridimage_id
