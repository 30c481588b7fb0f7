-- What is decided already on the photos asked for, also what later decisions have overtaken, in order.
-- Grain: one row per decision. Relations: decisions, asked.
SELECT
    gridimage_id,
    tag,
    decision,
    reviewer,
    decided_at
FROM decisions
SEMI JOIN asked USING (gridimage_id)
ORDER BY decision_id
