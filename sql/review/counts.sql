-- How far a filter's photos are decided. Built from matching.sql, whose $state is to be all.
-- Grain: one row.
-- Columns: photos (with a tag to decide), waiting (with one that is not decided yet).
SELECT
    count(*) FILTER (asked <> 0) AS photos,
    count(*) FILTER (asked & ~decided <> 0) AS waiting
FROM ({{matching}})
