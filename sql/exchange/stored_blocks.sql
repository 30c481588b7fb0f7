-- How the embeddings of one encoder are spread over ids, so that they can be read in ranges of some size.
-- Grain: one row per block of 1,024 ids, in order. Relations: stored. $encoder: encoder_id.
SELECT gridimage_id >> 10 AS block, count(*) AS photos
FROM stored
WHERE encoder = $encoder
GROUP BY block
ORDER BY block
