-- What people decided on each photo, as it counts for training: tags given (accepted or added) and rejected.
-- Grain: one row per photo with a decision that stands; none unless $used. Relations: decisions_newest.
CREATE OR REPLACE TEMP TABLE reviewed AS
SELECT
    gridimage_id,
    list(tag) FILTER (decision <> 'reject') AS given,
    list(tag) FILTER (decision = 'reject') AS rejected
FROM decisions_newest
WHERE $used
GROUP BY gridimage_id
