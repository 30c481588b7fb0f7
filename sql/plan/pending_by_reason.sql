-- How many photos are pending for each reason, and how much there is to encode.
-- Grain: one row per reason. Relations: pending. $limit: count only the first so many; null for all.
SELECT
    reason,
    count(*) AS photos,
    count(*) FILTER (image_work <> 'none') AS images,
    count(DISTINCT title_hash) FILTER (encode_title) AS titles,
    count(*) FILTER (image_work <> 'none' OR encode_title) AS to_embed
FROM pending
WHERE $limit IS NULL OR position <= $limit
GROUP BY reason
ORDER BY photos DESC, reason
