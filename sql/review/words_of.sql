-- What has been decided on some photos.
-- Grain: one row per photo and tag that was ever decided on; the newest word on it.
-- $photos: gridimage_ids.
SELECT gridimage_id, position, decision_id, decision, reviewer, decided_at
FROM words
WHERE gridimage_id IN (SELECT unnest($photos))
