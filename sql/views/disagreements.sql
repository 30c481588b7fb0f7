-- Where the current head and the contributors disagree, of the photos that both have tagged (`--select tagged`), and
-- nobody has decided who is right.
-- Grain: one row per photo with a tag that only one of the two has and that is not decided.
-- Columns: predicted, contributed (of the 49 tags), only_predicted, only_contributed (what is not decided of either),
-- and those to decide by.
-- Example: SELECT gridimage_id, predicted, contributed, only_predicted, only_contributed FROM disagreements ORDER BY 1
--
-- Whether a photo is here is asked of the few tags it has; lists in ascending tag_id are made for those that are.
WITH compared AS (
    SELECT
        gridimage_id,
        photos.title,
        predicted.tags AS predicted,
        photos.tags AS given,
        coalesce(reviewed.decided, []) AS decided,
        predicted.set_probability,
        predicted.top_tag,
        predicted.top_score,
        photos.grid_reference,
        photos.realname AS credit,
        predicted.photo_url,
        predicted.run_id
    FROM predictions_newest AS predicted
    JOIN photos USING (gridimage_id)
    LEFT JOIN decisions_by_photo AS reviewed USING (gridimage_id)
    WHERE photos.tagged
)
SELECT
    gridimage_id,
    title,
    predicted,
    list_filter({{tag_names}}, lambda tag: tag IN given) AS contributed,
    list_filter(predicted, lambda tag: tag NOT IN given AND tag NOT IN decided) AS only_predicted,
    list_filter(
        {{tag_names}}, lambda tag: tag IN given AND tag NOT IN predicted AND tag NOT IN decided
    ) AS only_contributed,
    set_probability,
    top_tag,
    top_score,
    grid_reference,
    credit,
    photo_url,
    run_id
FROM compared
WHERE
    len(list_filter(predicted, lambda tag: tag NOT IN given AND tag NOT IN decided)) > 0
    OR len(list_filter(given, lambda tag: tag IN {{tag_names}} AND tag NOT IN predicted AND tag NOT IN decided)) > 0
