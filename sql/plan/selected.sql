-- The photos that may be pending, with what the job needs of them.
-- Grain: one row per candidate. Relations: catalogue, location, candidates.
-- $wgs84_fallback: take wgs84_lat/long where the grid reference gives no location, and they lie on the Earth.
CREATE OR REPLACE TEMP TABLE selected AS
SELECT
    gridimage_id,
    coalesce(title, '') AS title,
    md5(coalesce(title, '')) AS title_hash,
    image,
    updated_at,
    coalesce(
        location.latitude,
        CASE WHEN $wgs84_fallback AND on_earth THEN wgs84_lat END
    ) AS latitude,
    coalesce(
        location.longitude,
        CASE WHEN $wgs84_fallback AND on_earth THEN wgs84_long END
    ) AS longitude
FROM (SELECT *, wgs84_lat BETWEEN -90 AND 90 AND wgs84_long BETWEEN -180 AND 180 AS on_earth FROM catalogue)
SEMI JOIN candidates USING (gridimage_id)
LEFT JOIN location USING (grid_reference)
