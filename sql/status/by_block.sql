-- How far the archive is done, by blocks of 50,000 ids.
-- Grain: one row per block. Relations: coverage.
SELECT first_id, last_id, photos, tagged, predicted, embedded, failed
FROM coverage
ORDER BY first_id
