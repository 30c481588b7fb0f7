-- The photos that belong together with one photo: of the same contributor, and with the same title or taken on the same
-- day in the same 1 km square, as the view series has it, however few there are.
-- Grain: one row per photo, the one asked for included.
-- Parameters: wanted_id
-- Columns: same_title, same_outing (which of the two), title, grid_reference, imagetaken, tags (predicted now), contributed,
-- credit, photo_url.
-- Example: SELECT gridimage_id, same_title, same_outing, title, tags FROM series_of(101)
WITH asked AS (
    SELECT
        coalesce(CAST(photos.user_id AS VARCHAR), photos.realname) AS contributor,
        photos.title AS title,
        photos.imagetaken,
        squares.km_square
    FROM photos
    LEFT JOIN squares USING (grid_reference)
    WHERE photos.gridimage_id = wanted_id
),
related AS (
    SELECT
        photos.*,
        photos.gridimage_id = wanted_id
        OR coalesce(photos.title = asked.title AND asked.title <> '', false) AS same_title,
        photos.gridimage_id = wanted_id
        OR coalesce(
            photos.imagetaken = asked.imagetaken
            AND length(asked.imagetaken) = 10
            AND NOT contains(asked.imagetaken, '-00')
            AND photos.grid_reference IN (SELECT grid_reference FROM squares WHERE km_square = asked.km_square),
            false
        ) AS same_outing
    FROM photos, asked
    WHERE coalesce(CAST(photos.user_id AS VARCHAR), photos.realname) = asked.contributor OR photos.gridimage_id = wanted_id
)
SELECT
    gridimage_id,
    related.same_title,
    related.same_outing,
    related.title,
    related.grid_reference,
    related.imagetaken,
    predicted.tags,
    related.tags AS contributed,
    related.realname AS credit,
    replace({{photo_url}}, '{gridimage_id}', CAST(gridimage_id AS VARCHAR)) AS photo_url
FROM related
LEFT JOIN predictions_newest AS predicted USING (gridimage_id)
WHERE related.same_title OR related.same_outing
ORDER BY gridimage_id
