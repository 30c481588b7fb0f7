-- All labels of the photos of a range of which a run or a reviewer has spoken since.
-- Grain: one row per photo and label, by photo and tag_id. Relations: labels.
-- $since_run, $since_decision: the first run_id and decision_id (or the beginning of one) that count.
SELECT gridimage_id, label, score, source
FROM labels
WHERE run_id >= $since_run OR decision_id >= $since_decision
ORDER BY gridimage_id, position, source
