-- Photos that belong together: three or more of one contributor (user_id, else realname), either with the same title
-- or taken on the same day in the same 1 km square.
-- Grain: one row per photo and kind of series that it is in.
-- Columns: kind (title or outing), series (a 64-bit hash that names the series), size (its photos). All of it is worked
-- out before the first row; series_of(ID) is not.
-- Example: SELECT gridimage_id, kind, size FROM series ORDER BY kind, gridimage_id LIMIT 6
--
-- The hash holds the kind too, so that over millions photos are grouped by that one number.
WITH member AS MATERIALIZED (
    SELECT
        gridimage_id,
        true AS titled,
        hash('title', coalesce(CAST(user_id AS VARCHAR), realname), title) AS series
    FROM photos
    WHERE title <> '' AND coalesce(CAST(user_id AS VARCHAR), realname) IS NOT NULL
    UNION ALL
    SELECT
        photos.gridimage_id,
        false,
        hash('outing', coalesce(CAST(photos.user_id AS VARCHAR), photos.realname), photos.imagetaken, squares.km_square)
    FROM photos
    JOIN squares USING (grid_reference)
    WHERE
        length(photos.imagetaken) = 10  -- a whole date: not 2009-06 or 2009-06-00
        AND NOT contains(photos.imagetaken, '-00')
        AND squares.km_square IS NOT NULL
        AND coalesce(CAST(photos.user_id AS VARCHAR), photos.realname) IS NOT NULL
),
sized AS (
    SELECT series, count(*) AS size
    FROM member
    GROUP BY series
    HAVING count(*) >= 3
)
SELECT
    gridimage_id,
    CASE WHEN member.titled THEN 'title' ELSE 'outing' END AS kind,
    series,
    sized.size
FROM member
JOIN sized USING (series)
