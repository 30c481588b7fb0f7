-- How long titles are, in characters; empty ones are not counted.
-- Grain: one row per length, 100 standing for more too. Relations: known.
SELECT least(length(title), 100) AS characters, count(*) AS photos
FROM known
WHERE title <> ''
GROUP BY ALL
ORDER BY characters
