-- The newest embedding of each photo in a range of ids by one encoder, its vectors left aside.
-- Grain: one row per photo, in order of ids. Relations: stored. $encoder: encoder_id. $first, $last: ids, both included.
SELECT gridimage_id, title_hash, image_signature, precision, filename
FROM stored
WHERE encoder = $encoder AND gridimage_id BETWEEN $first AND $last
QUALIFY run_id = max(run_id) OVER (PARTITION BY gridimage_id)
ORDER BY gridimage_id
