-- The newest prediction of each photo by the head: that of the greatest run_id.
-- Grain: one row per candidate that the head has predicted. Relations: predictions, candidates.
-- $head: head_id, or null when only embedding.
CREATE OR REPLACE TEMP TABLE scored AS
WITH newest AS (
    SELECT gridimage_id, max(run_id) AS run_id
    FROM predictions
    SEMI JOIN candidates USING (gridimage_id)
    WHERE head = $head
    GROUP BY gridimage_id
)
SELECT gridimage_id, run_id, title_hash, latitude, longitude, policy_id, predicted_at, image_signature, filename
FROM predictions
SEMI JOIN newest USING (gridimage_id, run_id)
WHERE head = $head
