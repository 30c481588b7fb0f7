-- How much there is.
-- Grain: one row. Relations: known.
SELECT
    count(*) AS photos,
    count(*) FILTER (len(tags) > 0) AS tagged,
    count(*) FILTER (len(tags) > 5) AS with_six_or_more_tags,
    count(*) FILTER (title = '') AS without_title,
    count(*) FILTER (square IS NULL AND has_degrees) AS with_degrees_only,
    count(*) FILTER (square IS NULL AND NOT coalesce(has_degrees, false)) AS without_location,
    count(DISTINCT coalesce(user_id::VARCHAR, realname)) AS contributors,
    min(gridimage_id) AS first_id,
    max(gridimage_id) AS last_id
FROM known
