-- Photos whose predicted tags do not fit the rest of their series (as the view series has it).
-- Grain: one row per photo, series and tag that does not fit: `missing`, at least two thirds of the other predicted photos of
-- the series have it, or `extra`, at most a third of them has. Series with three predicted photos or more.
-- Columns: kind, series, tag, problem (missing or extra), others (the other predicted photos), with_tag (of
-- those, the photos with it), title, photo_url, tags. The clearest first, so all is worked out before the first row.
-- Example: SELECT gridimage_id, title, kind, tag, problem, with_tag, others FROM series_outliers
WITH member AS MATERIALIZED (
    SELECT series.gridimage_id, series.kind, series.series, predicted.tags
    FROM predictions_newest AS predicted
    JOIN series USING (gridimage_id)
),
sized AS (
    SELECT series, count(*) AS size
    FROM member
    GROUP BY series
    HAVING count(*) >= 3
),
given AS (
    SELECT series, tag, count(*) AS with_tag
    FROM (SELECT series, unnest(tags) AS tag FROM member)
    GROUP BY series, tag
),
compared AS (
    SELECT
        gridimage_id,
        kind,
        series,
        given.tag,
        member.tags,
        given.tag IN member.tags AS has,
        sized.size - 1 AS others,
        given.with_tag - CAST(has AS INTEGER) AS with_tag
    FROM member
    JOIN sized USING (series)
    JOIN given USING (series)
    WHERE
        CASE
            WHEN given.tag IN member.tags THEN 3 * (given.with_tag - 1) <= sized.size - 1
            ELSE 3 * given.with_tag >= 2 * (sized.size - 1)
        END
)
SELECT
    gridimage_id,
    photos.title,
    compared.kind,
    compared.series,
    compared.tag,
    CASE WHEN compared.has THEN 'extra' ELSE 'missing' END AS problem,
    compared.others,
    compared.with_tag,
    compared.tags,
    replace({{photo_url}}, '{gridimage_id}', CAST(gridimage_id AS VARCHAR)) AS photo_url
FROM compared
LEFT JOIN photos USING (gridimage_id)
ORDER BY abs(compared.with_tag / compared.others - CAST(compared.has AS INTEGER)) DESC, others DESC, series, gridimage_id, tag
