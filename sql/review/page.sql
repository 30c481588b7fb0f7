-- One page of a head's queue: what follows, or with $sign -1 what precedes, a row of it. Built from matching.sql.
-- Grain: one row per photo, away from that row.
-- $sign: 1 or -1.  $rank, $after: rank and gridimage_id of the row to start from; null from the beginning.
-- $size: rows.
--
-- The rows are found by narrow columns first, and looked up then: candidates and titles of all others are left alone.
WITH chosen AS (
    SELECT gridimage_id, rank
    FROM ({{matching}})
    WHERE $rank IS NULL OR ($sign * rank, $sign * gridimage_id) > ($sign * $rank, $sign * $after)
    ORDER BY $sign * rank, $sign * gridimage_id
    LIMIT $size
)
SELECT queue.*, chosen.rank
FROM {{queue}} AS queue
JOIN chosen USING (gridimage_id)
ORDER BY $sign * chosen.rank, $sign * gridimage_id
