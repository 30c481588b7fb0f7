-- One head's newest prediction of each photo, as the review page looks at it. Relations: predictions_newest, photos.
-- Grain: one row per photo that the head has predicted and the catalogue still has.
-- $names: the 49 tags in the order of scores; $least: a tag that is not suggested is kept from this score on.
-- Columns: suggested (bit i is the tag at position i, from 0), candidates (position and score of each tag suggested or
-- not far from it, the likeliest first), square (of 1 km, or as the reference has it), hectad (of 10 km), letters (of
-- 100 km), version (what tells this image from a later one); the rest as in the views.
CREATE OR REPLACE TABLE {{queue}} AS
WITH masked AS (
    SELECT
        *,
        CAST(list_sum(list_transform(
            tags, lambda tag: CAST(1 AS BIGINT) << CAST(list_position($names, tag) - 1 AS BIGINT)
        )) AS BIGINT) AS suggested
    FROM predictions_newest
),
cleaned AS (
    SELECT
        gridimage_id,
        title,
        grid_reference,
        realname,
        user_id,
        image,
        upper(replace(grid_reference, ' ', '')) AS reference,
        length(rtrim(reference, '0123456789')) AS letters,
        (length(reference) - letters) // 2 AS half
    FROM photos
)
SELECT
    gridimage_id,
    masked.set_probability,
    coalesce(masked.suggested, 0) AS suggested,
    list_reverse_sort(list_filter(
        list_transform(masked.scores, lambda score, place: {'score': score, 'position': CAST(place - 1 AS UTINYINT)}),
        lambda each: each.score >= $least OR (coalesce(masked.suggested, 0) >> each.position) & 1 = 1
    )) AS candidates,
    masked.top_score,
    masked.forced,
    masked.has_image,
    masked.has_title,
    masked.has_location,
    masked.latitude,
    masked.longitude,
    cleaned.title,
    cleaned.grid_reference,
    left(cleaned.reference, cleaned.letters)
    || substr(cleaned.reference, cleaned.letters + 1, least(cleaned.half, 2))
    || substr(cleaned.reference, cleaned.letters + 1 + cleaned.half, least(cleaned.half, 2)) AS square,
    left(cleaned.reference, cleaned.letters) AS letters,
    left(cleaned.reference, cleaned.letters + 1) || substr(cleaned.reference, cleaned.letters + 1 + cleaned.half, 1) AS hectad,
    cleaned.realname AS credit,
    cleaned.user_id,
    cleaned.image,
    coalesce(left(md5(masked.image_signature), 10), '0') AS version,
    masked.policy_id,
    masked.run_id
FROM masked
JOIN cleaned USING (gridimage_id)
ORDER BY masked.set_probability, gridimage_id
