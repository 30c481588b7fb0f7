-- Photos to try something on: the same ones each time, spread over the whole catalogue by a hash of the id.
-- Grain: one row per photo, by id. Relations: catalogue. $photos: how many; $from_end: from the other end of the hashes.
SELECT gridimage_id, title, grid_reference, wgs84_lat, wgs84_long, image
FROM (
    FROM catalogue
    ORDER BY CASE WHEN $from_end THEN -hash(gridimage_id)::HUGEINT ELSE hash(gridimage_id)::HUGEINT END, gridimage_id
    LIMIT $photos
)
ORDER BY gridimage_id
