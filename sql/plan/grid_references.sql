-- The distinct grid references of the catalogue; Python turns them into locations once each.
-- Grain: one row per grid reference. Relations: catalogue.
SELECT DISTINCT grid_reference
FROM catalogue
WHERE grid_reference IS NOT NULL
