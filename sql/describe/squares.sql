-- How many photos lie in each hectad.
-- Grain: one row per square. Relations: known.
SELECT square, count(*) AS photos, count(*) FILTER (len(tags) > 0) AS tagged
FROM known
WHERE square IS NOT NULL
GROUP BY square
ORDER BY square
