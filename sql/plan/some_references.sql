-- Some of the distinct grid references.
-- Grain: one row per grid reference. Relations: distinct_references. $first, $last: row numbers, both included.
SELECT grid_reference
FROM distinct_references
WHERE rowid BETWEEN $first AND $last
