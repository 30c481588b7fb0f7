-- How what there may be to say of labels is spread over ids, so that it can be worked through in ranges.
-- Grain: one row per block of 4,096 ids, in order. Relations: predictions_all, failed, last_words, remembered.
-- $head: head_id.
WITH spoken AS (
    SELECT gridimage_id FROM predictions_all WHERE head = $head
    UNION ALL
    SELECT gridimage_id FROM failed
    UNION ALL
    SELECT gridimage_id FROM last_words
    UNION ALL
    SELECT gridimage_id FROM remembered
)
SELECT gridimage_id >> 12 AS block, count(*) AS photos
FROM spoken
GROUP BY block
ORDER BY block
