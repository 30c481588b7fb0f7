-- The beginning of review_queue for one tag: photos where that tag waits for a decision.
-- Grain: one row per photo, the least certain first.
-- Parameters: wanted_tag, first_rows := 50
-- Columns: score (of that tag), and those of review_queue.
-- Example: SELECT gridimage_id, title, score, undecided FROM queue_for_tag('Paths')
WITH chosen AS (
    SELECT * EXCLUDE scores  -- of millions they are read for the chosen ones alone
    FROM waiting
    WHERE list_contains(undecided, wanted_tag)
    ORDER BY set_probability, gridimage_id
    LIMIT first_rows
)
SELECT
    gridimage_id,
    photos.title,
    scored.scores[(SELECT position FROM tags WHERE tag = wanted_tag)] AS score,
    waiting.tags,
    waiting.undecided,
    waiting.set_probability,
    waiting.forced,
    waiting.top_tag,
    waiting.top_score,
    photos.grid_reference,
    photos.realname AS credit,
    waiting.photo_url,
    run_id
FROM chosen AS waiting
JOIN predictions_all AS scored USING (gridimage_id, run_id)
LEFT JOIN photos USING (gridimage_id)
ORDER BY waiting.set_probability, gridimage_id
