-- The catalogue; a column that it does not have is null. Empty where there is no catalogue.
-- Grain: one row per photo.
-- Columns: those of schemas/photos.v1.json, and tagged (carries at least one of the 49 tags; asked tag by tag, which
-- takes a fifth of the time that list_has_any does).
-- Example: SELECT gridimage_id, title, grid_reference, realname, tagged FROM photos ORDER BY gridimage_id LIMIT 3
SELECT
    gridimage_id,
    title,
    grid_reference,
    wgs84_lat,
    wgs84_long,
    tags,
    image,
    user_id,
    realname,
    imagetaken,
    updated_at,
    coalesce(list_bool_or(list_transform(tags, lambda tag: tag IN {{tag_names}})), false) AS tagged
FROM {{catalogue}}
