-- One chunk of pending photos, in order.
-- Grain: one row per photo. Relations: pending. $first, $last: positions, both included.
SELECT *
FROM pending
WHERE position BETWEEN $first AND $last
ORDER BY position
