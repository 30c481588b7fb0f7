-- The hectad, the 10 km square of the grid (SU31, J37), of each grid reference that the catalogue has.
-- Grain: one row per distinct grid reference of at least that precision (4 to 10 figures; 2 are a hectad itself).
-- Columns: grid_reference (as the catalogue writes it), square, km_square (the 1 km square, SU3814; null where the
-- reference is not so precise).
-- Example: FROM squares ORDER BY grid_reference LIMIT 3
--
-- The square is the reference's letters, its first easting figure and its first northing figure. It is worked out once
-- for each distinct reference, of which there are far fewer than photos (any_value keeps DuckDB from asking
-- each photo again).
WITH written AS (
    SELECT any_value(grid_reference) AS grid_reference
    FROM photos
    WHERE grid_reference IS NOT NULL
    GROUP BY photos.grid_reference
),
cleaned AS (
    SELECT grid_reference, upper(replace(grid_reference, ' ', '')) AS reference
    FROM written
),
measured AS (
    SELECT
        grid_reference,
        reference,
        length(rtrim(reference, '0123456789')) AS letters,
        length(reference) - length(rtrim(reference, '0123456789')) AS figures
    FROM cleaned
)
SELECT
    grid_reference,
    left(reference, letters + 1) || substr(reference, letters + 1 + figures // 2, 1) AS square,
    CASE
        WHEN figures >= 4 THEN left(reference, letters + 2) || substr(reference, letters + 1 + figures // 2, 2)
    END AS km_square
FROM measured
WHERE letters IN (1, 2) AND figures BETWEEN 2 AND 10 AND figures % 2 = 0
