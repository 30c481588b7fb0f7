-- The photos within some distance of a place: by the centre of what their grid reference names, else by wgs84_lat and
-- wgs84_long, if they lie on the Earth.
-- Grain: one row per photo, by id. Relations: catalogue, location.
-- $latitude, $longitude: the place, in degrees; $km: the distance.
-- The distance is that on a sphere (the haversine formula, the Earth's mean radius of 6371.0088 km), half a per cent off at
-- most.
WITH placed AS (
    SELECT
        gridimage_id,
        coalesce(latitude, CASE WHEN on_earth THEN wgs84_lat END) AS latitude,
        coalesce(longitude, CASE WHEN on_earth THEN wgs84_long END) AS longitude
    FROM (SELECT *, wgs84_lat BETWEEN -90 AND 90 AND wgs84_long BETWEEN -180 AND 180 AS on_earth FROM catalogue)
    LEFT JOIN location USING (grid_reference)
),
measured AS (
    SELECT
        gridimage_id,
        2 * 6371.0088 * asin(least(1, sqrt(
            pow(sin(radians(latitude - $latitude) / 2), 2)
            + cos(radians($latitude)) * cos(radians(latitude)) * pow(sin(radians(longitude - $longitude) / 2), 2)
        ))) AS km
    FROM placed
    WHERE abs(latitude - $latitude) * 110 <= $km  -- a degree is never shorter: most photos need no more arithmetic
)
SELECT gridimage_id, km
FROM measured
WHERE km <= $km
ORDER BY gridimage_id
