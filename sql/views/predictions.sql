-- What the current head says now, with what the catalogue knows of each photo.
-- Grain: one row per photo that the current head has predicted; newest as in predictions_newest.
-- Columns: title, grid_reference, wgs84_lat, wgs84_long (the catalogue's; null for a withdrawn photo), credit (the
-- contributor's name), photo_url, contributed (tags in the catalogue), and those of predictions_all.
-- Example: SELECT gridimage_id, title, tags, top_score, credit FROM predictions ORDER BY gridimage_id LIMIT 3
SELECT
    gridimage_id,
    photos.title,
    predicted.tags,
    predicted.top_tag,
    predicted.top_score,
    predicted.set_probability,
    predicted.forced,
    photos.grid_reference,
    photos.wgs84_lat,
    photos.wgs84_long,
    photos.realname AS credit,
    predicted.photo_url,
    photos.tags AS contributed,
    predicted.scores,
    predicted.has_image,
    predicted.has_title,
    predicted.has_location,
    predicted.latitude,
    predicted.longitude,
    predicted.title_hash,
    predicted.image_signature,
    predicted.policy_id,
    predicted.head,
    predicted.run_id,
    predicted.run_date,
    predicted.predicted_at
FROM predictions_newest AS predicted
LEFT JOIN photos USING (gridimage_id)
