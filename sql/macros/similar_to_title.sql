-- The photos whose titles are most like that of one photo, by the cosine of their embeddings; all are compared.
-- Grain: one row per photo but the one asked for, the most similar first, equals by id.
-- Parameters: wanted_id, first_rows := 20
-- Columns: similarity (cosine, to float32), title, grid_reference, credit (the catalogue's; null if it was withdrawn),
-- photo_url. Empty if the photo has no title embedding; a vector of zeros or with a value that is not finite is like none.
-- Example: SELECT gridimage_id, title, grid_reference, similarity FROM similar_to_title(2, first_rows := 3)
WITH asked AS (
    SELECT any_value(CAST(title_embedding AS DOUBLE[])) AS vector
    FROM embeddings_newest
    WHERE gridimage_id = wanted_id
),
compared AS (
    SELECT
        gridimage_id,
        CAST(list_cosine_similarity(CAST(title_embedding AS DOUBLE[]), (SELECT vector FROM asked)) AS FLOAT) AS similarity
    FROM embeddings_newest
    WHERE gridimage_id <> wanted_id
),
chosen AS (
    SELECT *
    FROM compared
    WHERE isfinite(similarity)
    ORDER BY similarity DESC, gridimage_id
    LIMIT first_rows
)
SELECT
    gridimage_id,
    photos.title,
    photos.grid_reference,
    chosen.similarity,
    photos.realname AS credit,
    replace({{photo_url}}, '{gridimage_id}', CAST(gridimage_id AS VARCHAR)) AS photo_url
FROM chosen
LEFT JOIN photos USING (gridimage_id)
ORDER BY chosen.similarity DESC, gridimage_id
