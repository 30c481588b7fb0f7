-- Rows of photos that the catalogue does not have any more, by file.
-- Grain: one row per file that has such rows. Relations: committed (gridimage_id, filename), catalogue.
SELECT filename, list(gridimage_id) AS withdrawn
FROM committed
ANTI JOIN catalogue USING (gridimage_id)
GROUP BY filename
ORDER BY filename
