-- The tags that count as a photo's own: what contributors gave and people decided, predictions left aside.
-- Grain: one row per photo of the catalogue that has such a tag, or on whose tags anybody has decided.
-- Columns: tags (those of the 49 in the catalogue, and the accepted and the added ones, without the rejected ones),
-- contributed (those of the catalogue alone), accepted, added, rejected; all in ascending tag_id.
-- Example: FROM effective_tags ORDER BY gridimage_id LIMIT 4
--
-- Most photos have no decision: theirs are the catalogue's, at no further cost.
WITH contributed AS (
    SELECT gridimage_id, list_filter({{tag_names}}, lambda tag: tag IN photos.tags) AS contributed
    FROM photos
    WHERE tagged
),
reviewed AS (
    SELECT
        gridimage_id,
        coalesce(list_filter({{tag_names}}, lambda tag: tag IN photos.tags), []) AS contributed,
        accepted,
        added,
        rejected
    FROM decisions_by_photo
    JOIN photos USING (gridimage_id)
)
SELECT gridimage_id, contributed AS tags, contributed, [] AS accepted, [] AS added, [] AS rejected
FROM contributed
ANTI JOIN decisions_by_photo USING (gridimage_id)
UNION ALL
SELECT
    gridimage_id,
    list_filter(
        {{tag_names}},
        lambda tag: (tag IN contributed OR tag IN accepted OR tag IN added) AND tag NOT IN rejected
    ),
    contributed,
    accepted,
    added,
    rejected
FROM reviewed
