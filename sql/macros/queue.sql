-- The beginning of review_queue, without a join of the whole catalogue.
-- Grain: one row per photo, the least certain first.
-- Parameters: first_rows := 50
-- Columns: those of review_queue. Up to 50 rows are joined without reading whole datasets.
-- Example: SELECT gridimage_id, title, undecided, set_probability FROM queue(first_rows := 2)
WITH chosen AS (
    SELECT *
    FROM waiting
    ORDER BY set_probability, gridimage_id
    LIMIT first_rows
)
SELECT
    gridimage_id,
    photos.title,
    waiting.tags,
    waiting.undecided,
    waiting.set_probability,
    waiting.forced,
    waiting.top_tag,
    waiting.top_score,
    photos.grid_reference,
    photos.realname AS credit,
    waiting.photo_url,
    waiting.run_id
FROM chosen AS waiting
LEFT JOIN photos USING (gridimage_id)
ORDER BY waiting.set_probability, gridimage_id
