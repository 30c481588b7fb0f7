-- What is described of each photo: which of the 49 tags it carries, its title, its hectad.
-- Grain: one row per photo. Relations: catalogue. $tags: the 49 tags.
-- square: the grid reference's letters, first easting and first northing figure; null where it names no such square.
CREATE OR REPLACE TEMP TABLE known AS
WITH cleaned AS (
    SELECT *, upper(replace(grid_reference, ' ', '')) AS reference
    FROM catalogue
),
measured AS (
    SELECT
        *,
        length(rtrim(reference, '0123456789')) AS letters,
        length(reference) - length(rtrim(reference, '0123456789')) AS figures
    FROM cleaned
)
SELECT
    gridimage_id,
    list_sort(list_intersect(coalesce(tags, []), $tags)) AS tags,
    left(trim(coalesce(title, '')), 500) AS title,
    CASE
        WHEN letters IN (1, 2) AND figures BETWEEN 2 AND 10 AND figures % 2 = 0
        THEN left(reference, letters + 1) || substr(reference, letters + 1 + figures // 2, 1)
    END AS square,
    isfinite(wgs84_lat) AND isfinite(wgs84_long) AS has_degrees,
    wgs84_lat,
    wgs84_long,
    user_id,
    realname
FROM measured
