-- All labels of the photos of a range whose labels are others than the last export's, and a row Withdrawn for those
-- that the catalogue has no more. A photo that only has no labels now (the head in use has not predicted it yet) is not here.
-- Grain: one row per photo and label, by photo and tag_id. Relations: labels, states, remembered, photos.
-- $first, $last: ids, both included.
WITH before AS (
    FROM remembered WHERE gridimage_id BETWEEN $first AND $last
),
same AS (
    SELECT gridimage_id FROM states JOIN before USING (gridimage_id, state)
)
SELECT gridimage_id, label, score, source
FROM (
    SELECT gridimage_id, position, label, score, source
    FROM labels
    ANTI JOIN same USING (gridimage_id)
    UNION ALL
    SELECT gridimage_id, 0, 'Withdrawn', NULL, 'catalogue'
    FROM before
    ANTI JOIN states USING (gridimage_id)
    ANTI JOIN (FROM photos WHERE gridimage_id BETWEEN $first AND $last) AS known USING (gridimage_id)
)
ORDER BY gridimage_id, position, source
