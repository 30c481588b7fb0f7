-- How often each tag is predicted now in each hectad, the 10 km square of the grid (SU31, J37).
-- Grain: one row per square and tag. A photo without a grid reference of at least that precision has square null.
-- Columns: square, tag, photos.
-- Example: FROM tag_counts_by_square LIMIT 4
WITH located AS (
    SELECT photos.gridimage_id, squares.square
    FROM photos
    JOIN squares USING (grid_reference)
),
predicted AS (
    SELECT located.square, unnest(predictions_newest.tags) AS tag
    FROM predictions_newest
    LEFT JOIN located USING (gridimage_id)
)
SELECT square, tag, count(*) AS photos
FROM predicted
GROUP BY square, tag
ORDER BY square, photos DESC, tag
