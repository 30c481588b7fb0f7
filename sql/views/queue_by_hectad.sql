-- How much waits for review by hectad; queue_in_hectad('SK13') shows the photos.
-- Grain: one row per hectad (square of squares) that waits somewhere, the most waited for first; square is null for
-- photos without a grid reference of that precision.
-- Columns: waiting (photos), forced, mean_set_probability.
-- Example: FROM queue_by_hectad
WITH located AS (
    SELECT photos.gridimage_id, squares.square
    FROM photos
    JOIN squares USING (grid_reference)
)
SELECT
    located.square,
    count(*) AS waiting,
    count(*) FILTER (waiting.forced) AS forced,
    avg(waiting.set_probability) AS mean_set_probability
FROM waiting
LEFT JOIN located USING (gridimage_id)
GROUP BY located.square
ORDER BY waiting DESC, square
