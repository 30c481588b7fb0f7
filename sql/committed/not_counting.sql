-- Files that do not count now: where a merged file and those that it takes the place of are both there, the one or the others.
-- Grain: one row per file, none unless `geotag compact` has files to remove. Built over the glob {{files}}.
--
-- geotag_batch/committed.py has the names: <last>_<first>_<files>_<since>.parquet takes the place of the files of its
-- folder from first to last. It counts from `since` on, and wherever not all of them are there any more. now() is the same
-- throughout a transaction, so that a query that reads a dataset several times decides alike each time.
WITH listed AS MATERIALIZED (
    SELECT
        file AS filename,
        parse_dirpath(file) AS folder,
        string_split(parse_filename(file, true), '_') AS parts,
        parts[1] AS last,
        coalesce(parts[2], parts[1]) AS first
    FROM glob({{files}})
),
merged AS (
    SELECT
        *,
        TRY_CAST(parts[3] AS BIGINT) AS files,
        try_strptime(parts[4], '%Y%m%dT%H%M%SZ') <= make_timestamp(epoch_us(now())) AS is_due
    FROM listed
    WHERE len(parts) = 4
),
both_there AS (
    SELECT
        merged.filename AS merged,
        listed.filename AS small,
        merged.is_due OR count(*) OVER (PARTITION BY merged.filename) < merged.files AS counts
    FROM merged
    JOIN listed ON
        merged.folder = listed.folder
        AND merged.first <= listed.first
        AND listed.last <= merged.last
        AND (merged.first < listed.first OR listed.last < merged.last)
)
SELECT DISTINCT CASE WHEN counts THEN small ELSE merged END AS filename, '' AS counts_as
FROM both_there
