-- What is decided now.
-- Grain: one row per photo and tag that is decided: its newest decision (greatest decision_id), unless that withdraws.
-- Columns: those of decisions; decision is accept, reject or add.
-- Example: SELECT gridimage_id, tag, decision, reviewer, score FROM decisions_newest ORDER BY decision_id
SELECT
    decision_id,
    gridimage_id,
    tag,
    decision,
    reviewer,
    decided_at,
    source,
    head,
    policy_id,
    run_id,
    score
FROM (FROM decisions QUALIFY decision_id = max(decision_id) OVER (PARTITION BY gridimage_id, tag))
WHERE decision <> 'withdraw'
