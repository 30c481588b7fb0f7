-- Every decision that people made, with those that later ones have overtaken.
-- Grain: one row per decision.
-- Columns: those of schemas/decisions.v1.json.
-- Example: SELECT gridimage_id, tag, decision, reviewer, source FROM decisions ORDER BY decision_id
--
-- While `geotag decisions compact` merges files a decision is in two of them, hence DISTINCT.
SELECT DISTINCT
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
FROM {{decisions}}
