-- The distinct grid references of the catalogue; Python turns them into locations once each, some at a time.
-- Grain: one row per grid reference. Relations: catalogue. $wanted: false for none.
CREATE OR REPLACE TEMP TABLE distinct_references AS
SELECT DISTINCT grid_reference
FROM catalogue
WHERE grid_reference IS NOT NULL AND $wanted
