-- How often each tag is predicted now in each hectad, the 10 km square of the grid (SU31, J37).
-- Grain: one row per square and tag. A photo without a grid reference of at least that precision has square null.
-- Columns: square, tag, photos.
--
-- The square is the reference's letters, its first easting figure and its first northing figure.
WITH cleaned AS (
    SELECT gridimage_id, upper(replace(grid_reference, ' ', '')) AS reference
    FROM photos
),
measured AS (
    SELECT
        gridimage_id,
        reference,
        length(rtrim(reference, '0123456789')) AS letters,
        length(reference) - length(rtrim(reference, '0123456789')) AS figures
    FROM cleaned
),
located AS (
    SELECT
        gridimage_id,
        left(reference, letters + 1) || substr(reference, letters + 1 + figures // 2, 1) AS square
    FROM measured
    WHERE letters IN (1, 2) AND figures BETWEEN 2 AND 10 AND figures % 2 = 0
)
SELECT
    located.square,
    predicted.tag,
    count(*) AS photos
FROM (SELECT gridimage_id, unnest(tags) AS tag FROM predictions_newest) AS predicted
LEFT JOIN located USING (gridimage_id)
GROUP BY located.square, predicted.tag
ORDER BY located.square, photos DESC, predicted.tag
