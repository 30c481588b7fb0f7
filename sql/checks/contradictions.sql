-- Decisions that two files tell differently; a decision that two files tell alike is being merged.
-- Grain: one row per decision_id. Relations: decisions.
SELECT decision_id
FROM (SELECT DISTINCT * FROM decisions)
GROUP BY decision_id
HAVING count(*) > 1
ORDER BY decision_id
