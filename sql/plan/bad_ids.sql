-- Examples of ids that may not be in a catalogue: negative or repeated.
-- Grain: one row per such id, at most five. Relations: catalogue.
SELECT gridimage_id
FROM catalogue
WHERE gridimage_id IS NOT NULL
GROUP BY gridimage_id
HAVING count(*) > 1 OR gridimage_id < 0
ORDER BY gridimage_id
LIMIT 5
