-- Which file holds the newest embedding of each photo that one encoder has embedded more than once.
-- Grain: one row per such photo, by id, and rarely one that was embedded once. Built over its files of embeddings.
-- Relations: committed (filename, place: the files to look at, in the order of their runs).
WITH repeated AS (
    {{repeated}}
)
SELECT gridimage_id, max(place) AS place
FROM {{embeddings}}
SEMI JOIN repeated USING (gridimage_id)
JOIN committed USING (filename)
GROUP BY gridimage_id
ORDER BY gridimage_id
