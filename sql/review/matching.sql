-- The photos of a head's queue that a filter asks for, with what is decided on each. Part of page.sql and counts.sql.
-- Grain: one row per photo.
-- $state: waiting, decided, all.  $tag: position of a tag, or null.  $low, $high: bounds of that tag's score (also where
-- it is not suggested), without a tag of the greatest score.  $square: letters, hectad or 1 km square.  $contributor:
-- a part of the name, or the user_id.  $photo: gridimage_id.  $order: unsure, sure, newest.  Null asks for nothing.
-- Columns: those of queue.sql; decided (a bit a tag, as in suggested); rank (orders, with gridimage_id; unique).
SELECT *
FROM (
    SELECT
        queue.*,
        coalesce(settled.decided, 0) AS decided,
        CASE $order
            WHEN 'newest' THEN CAST(-gridimage_id AS DOUBLE)
            WHEN 'sure' THEN -CAST(queue.set_probability AS DOUBLE)
            ELSE CAST(queue.set_probability AS DOUBLE)
        END AS rank,
        CASE
            WHEN $tag IS NULL THEN queue.suggested
            WHEN $low IS NULL AND $high IS NULL THEN queue.suggested & (CAST(1 AS BIGINT) << $tag)
            WHEN len(list_filter(queue.candidates, lambda each: each.position = $tag
                AND each.score BETWEEN coalesce($low, 0) AND coalesce($high, 1))) > 0 THEN CAST(1 AS BIGINT) << $tag
            ELSE 0
        END AS asked
    FROM {{queue}} AS queue
    LEFT JOIN settled USING (gridimage_id)
)
WHERE
    CASE $state
        WHEN 'waiting' THEN asked & ~decided <> 0
        WHEN 'decided' THEN asked & ~decided = 0 AND asked <> 0
        ELSE asked <> 0 OR $tag IS NULL
    END
    AND ($tag IS NOT NULL OR top_score BETWEEN coalesce($low, 0) AND coalesce($high, 1))
    AND ($square IS NULL OR $square IN (square, hectad, letters))
    AND (
        $contributor IS NULL
        OR contains(lower(credit), lower($contributor))
        OR CAST(user_id AS VARCHAR) = $contributor
    )
    AND ($photo IS NULL OR gridimage_id = $photo)
