-- What is decided now, in order, for a file.
-- Grain: one row per photo and tag. Relations: decisions_newest.
FROM decisions_newest
ORDER BY decision_id
