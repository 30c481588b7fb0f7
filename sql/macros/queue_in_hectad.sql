-- The beginning of review_queue in one hectad, the 10 km square of the grid ('SK13', in any case).
-- Grain: one row per photo, the least certain first.
-- Parameters: wanted_square, first_rows := 50
-- Columns: those of review_queue.
-- Example: SELECT gridimage_id, title, grid_reference, undecided FROM queue_in_hectad('SK43')
WITH located AS (
    SELECT *
    FROM photos
    SEMI JOIN (FROM squares WHERE square = upper(wanted_square)) AS inside USING (grid_reference)
)
SELECT
    gridimage_id,
    located.title,
    waiting.tags,
    waiting.undecided,
    waiting.set_probability,
    waiting.forced,
    waiting.top_tag,
    waiting.top_score,
    located.grid_reference,
    located.realname AS credit,
    waiting.photo_url,
    waiting.run_id
FROM waiting
JOIN located USING (gridimage_id)
ORDER BY waiting.set_probability, gridimage_id
LIMIT first_rows
