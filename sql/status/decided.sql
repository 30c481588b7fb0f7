-- How much people have decided.
-- Grain: one row. Relations: decisions_newest.
SELECT
    count(*) AS decisions,
    count(DISTINCT gridimage_id) AS photos,
    count(DISTINCT reviewer) AS reviewers,
    count(*) FILTER (decision = 'accept') AS accepted,
    count(*) FILTER (decision = 'add') AS added,
    count(*) FILTER (decision = 'reject') AS rejected
FROM decisions_newest
