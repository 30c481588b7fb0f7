-- Whether the catalogue has a photo at all.
-- Grain: one row. Relations: photos.
SELECT count(*) > 0 AS found
FROM (FROM photos LIMIT 1)
