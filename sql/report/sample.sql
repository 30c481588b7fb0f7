-- Photos to try something on: the same ones each time, spread over the whole catalogue by a hash of the id.
-- Grain: one row per photo, by id. Relations: catalogue. $photos: how many.
SELECT gridimage_id, title, grid_reference, wgs84_lat, wgs84_long, image
FROM (
    FROM catalogue
    ORDER BY hash(gridimage_id), gridimage_id
    LIMIT $photos
)
ORDER BY gridimage_id
