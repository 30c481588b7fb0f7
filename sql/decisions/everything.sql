-- All decisions, in order, for a file.
-- Grain: one row per decision. Relations: decisions.
FROM decisions
ORDER BY decision_id
