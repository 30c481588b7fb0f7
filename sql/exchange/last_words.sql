-- The newest decision on each photo, withdrawals included: a photo that was decided on has been spoken of.
-- Grain: one row per photo that anybody has decided on. Relations: decisions.
CREATE OR REPLACE TEMP TABLE last_words AS
SELECT gridimage_id, max(decision_id) AS decision_id
FROM decisions
GROUP BY gridimage_id
