-- How many photos the catalogue has, and how many of them carry one of the 49 tags.
-- Grain: one row. Relations: photos.
SELECT count(*) AS photos, count(*) FILTER (tagged) AS tagged
FROM photos
