-- What is wrong with the catalogue's ids.
-- Grain: one row. Relations: catalogue.
SELECT
    count(*) AS photos,
    count(*) FILTER (gridimage_id IS NULL) AS without_id,
    count(*) FILTER (gridimage_id < 0) AS negative,
    count(gridimage_id) - count(DISTINCT gridimage_id) AS repeated
FROM catalogue
