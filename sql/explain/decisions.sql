-- What people decided on one photo, the newest first.
-- Grain: one row per decision; `counts` where it is the newest one of its tag. Relations: decisions. $gridimage_id: the photo.
SELECT
    * EXCLUDE (gridimage_id, policy_id),
    decision_id = max(decision_id) OVER (PARTITION BY tag) AS counts
FROM decisions
WHERE gridimage_id = $gridimage_id
ORDER BY decision_id DESC
