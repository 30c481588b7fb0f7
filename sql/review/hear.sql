-- Take decisions into words; one that is older than what is there, or there already, changes nothing.
-- Grain: one row per photo and tag.
-- $files: files of the decisions dataset; $names: the 49 tags in the order of scores.
INSERT INTO words
SELECT gridimage_id, list_position($names, tag) - 1, decision_id, decision, reviewer, decided_at
FROM read_parquet($files, hive_partitioning = false)
WHERE list_contains($names, tag)
QUALIFY row_number() OVER (PARTITION BY gridimage_id, tag ORDER BY decision_id DESC) = 1
ON CONFLICT DO UPDATE SET
    decision_id = excluded.decision_id,
    decision = excluded.decision,
    reviewer = excluded.reviewer,
    decided_at = excluded.decided_at
WHERE excluded.decision_id > words.decision_id
