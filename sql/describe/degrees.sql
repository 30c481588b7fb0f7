-- How many photos without a hectad lie in each tenth of a degree, by their WGS84 coordinates.
-- Grain: one row per latitude and longitude, rounded. Relations: known.
SELECT round(wgs84_lat, 1) AS latitude, round(wgs84_long, 1) AS longitude, count(*) AS photos
FROM known
WHERE square IS NULL AND has_degrees AND abs(wgs84_lat) <= 90 AND abs(wgs84_long) <= 180
GROUP BY ALL
ORDER BY ALL
