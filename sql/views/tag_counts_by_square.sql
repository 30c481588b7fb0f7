-- How often each tag is predicted now in each hectad, the 10 km square of the grid (SU31, J37).
-- Grain: one row per square and tag. A photo without a grid reference of at least that precision has square null.
-- Columns: square, tag, photos.
--
-- The square is the reference's letters, its first easting figure and its first northing figure. It is worked out once
-- for each distinct reference, of which there are far fewer than photos.
WITH cleaned AS (
    SELECT DISTINCT grid_reference, upper(replace(grid_reference, ' ', '')) AS reference
    FROM photos
    WHERE grid_reference IS NOT NULL
),
measured AS (
    SELECT
        grid_reference,
        reference,
        length(rtrim(reference, '0123456789')) AS letters,
        length(reference) - length(rtrim(reference, '0123456789')) AS figures
    FROM cleaned
),
squares AS (
    SELECT
        grid_reference,
        left(reference, letters + 1) || substr(reference, letters + 1 + figures // 2, 1) AS square
    FROM measured
    WHERE letters IN (1, 2) AND figures BETWEEN 2 AND 10 AND figures % 2 = 0
),
located AS (
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
