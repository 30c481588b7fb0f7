-- What people have decided on each photo, all tags together.
-- Grain: one row per photo that anybody has decided on, also where all of it was withdrawn.
-- Columns: accepted, added, rejected, decided (all three; lists of tags in ascending tag_id, empty where there are
-- none), reviewers (whose words count now), decision_id and decided_at (of the newest word, a withdrawal included).
-- Example: SELECT gridimage_id, accepted, added, rejected, reviewers FROM decisions_by_photo ORDER BY 1
WITH newest AS (
    FROM decisions
    QUALIFY decision_id = max(decision_id) OVER (PARTITION BY gridimage_id, tag)
)
SELECT
    gridimage_id,
    coalesce(list(tag ORDER BY tags.position) FILTER (decision = 'accept'), []) AS accepted,
    coalesce(list(tag ORDER BY tags.position) FILTER (decision = 'add'), []) AS added,
    coalesce(list(tag ORDER BY tags.position) FILTER (decision = 'reject'), []) AS rejected,
    coalesce(list(tag ORDER BY tags.position) FILTER (decision <> 'withdraw'), []) AS decided,
    coalesce(list(DISTINCT reviewer ORDER BY reviewer) FILTER (decision <> 'withdraw'), []) AS reviewers,
    max(decision_id) AS decision_id,
    arg_max(decided_at, decision_id) AS decided_at
FROM newest
JOIN tags USING (tag)
GROUP BY gridimage_id
