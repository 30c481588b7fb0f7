-- What the next export has to compare with: the labels as they are now, and former ones that still stand with the
-- consumer because nothing new has been said of a photo.
-- Grain: one row per photo, in order. Relations: states, remembered, photos. $first, $last: ids, both included.
SELECT gridimage_id, state
FROM (
    FROM states
    UNION ALL
    FROM (FROM remembered WHERE gridimage_id BETWEEN $first AND $last) AS before
    ANTI JOIN states USING (gridimage_id)
    SEMI JOIN (FROM photos WHERE gridimage_id BETWEEN $first AND $last) AS known USING (gridimage_id)
)
ORDER BY gridimage_id
