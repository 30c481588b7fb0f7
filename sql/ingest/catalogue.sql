-- The catalogue as the dumps have it, in the order in which it is written.
-- Grain: one row per photo. Relations: photo_ids; staged photos, locations, labels.
-- $labels_complete: a photo without labels has no tag (else its tags are not known, null).
-- The tags stay bits, of which a list is made after sorting: as lists of text they would fill the memory.
WITH tagged AS (
    SELECT gridimage_id, bit_or(tag_bits) AS tag_bits FROM {{labels}} GROUP BY gridimage_id
)
SELECT
    gridimage_id,
    title,
    grid_reference,
    wgs84_lat,
    wgs84_long,
    CASE WHEN $labels_complete THEN coalesce(tag_bits, 0) ELSE tag_bits END AS tag_bits,
    user_id,
    realname,
    imagetaken
FROM photo_ids
LEFT JOIN {{photos}} USING (gridimage_id)
LEFT JOIN {{locations}} USING (gridimage_id)
LEFT JOIN tagged USING (gridimage_id)
ORDER BY gridimage_id
