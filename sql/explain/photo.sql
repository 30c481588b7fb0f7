-- What the catalogue says of one photo.
-- Grain: one row, or none. Relations: photos. $gridimage_id: the photo.
SELECT *
FROM photos
WHERE gridimage_id = $gridimage_id
