-- The photos that the selection names, with what the job needs of them.
-- Grain: one row per selected photo. Relations: catalogue, location, asked.
-- $select: untagged | tagged | all.  $tags: the 49 tags.  $only_asked: keep to the ids in asked.
-- $wgs84_fallback: take wgs84_lat/long where the grid reference gives no location.
CREATE OR REPLACE TEMP TABLE selected AS
SELECT
    gridimage_id,
    coalesce(title, '') AS title,
    md5(coalesce(title, '')) AS title_hash,
    image,
    updated_at,
    coalesce(
        location.latitude,
        CASE WHEN $wgs84_fallback AND isfinite(wgs84_lat) AND isfinite(wgs84_long) THEN wgs84_lat END
    ) AS latitude,
    coalesce(
        location.longitude,
        CASE WHEN $wgs84_fallback AND isfinite(wgs84_lat) AND isfinite(wgs84_long) THEN wgs84_long END
    ) AS longitude
FROM catalogue
LEFT JOIN location USING (grid_reference)
WHERE
    ($select = 'all' OR ($select = 'tagged') = list_has_any(coalesce(tags, []), $tags))
    AND (NOT $only_asked OR gridimage_id IN (SELECT gridimage_id FROM asked))
