-- The photos most like one photo by one of its vectors: the body of the macros similar_to and similar_to_title.
-- Grain: one row per photo but the one asked for. Built over embeddings_newest and photos. Its column is substituted.
-- In float64 and rounded to float32, so that the same vector has the same similarity in every row.
WITH asked AS (
    SELECT any_value(CAST({{vector}} AS DOUBLE[])) AS vector
    FROM embeddings_newest
    WHERE gridimage_id = wanted_id
),
compared AS (
    SELECT
        gridimage_id,
        CAST(list_cosine_similarity(CAST({{vector}} AS DOUBLE[]), (SELECT vector FROM asked)) AS FLOAT) AS similarity
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
