-- Where the newest embeddings of some photos are, by one encoder.
-- Grain: one row per photo that the encoder has embedded. Built over the embeddings dataset.
-- $photos: gridimage_ids; $encoder: encoder_id.
SELECT gridimage_id, max_by(filename, run_id) AS file
FROM {{embeddings}}
WHERE encoder = $encoder AND gridimage_id IN (SELECT unnest($photos))
GROUP BY gridimage_id
