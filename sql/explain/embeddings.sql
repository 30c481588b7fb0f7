-- The embeddings there are of one photo, the newest first; no vectors.
-- Grain: one row per encoder and run. Relations: embeddings. $gridimage_id: the photo.
SELECT encoder, run_id, precision, title_hash, image_signature, filename
FROM embeddings
WHERE gridimage_id = $gridimage_id
ORDER BY run_id DESC, encoder
