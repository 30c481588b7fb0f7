-- Where the current head and the contributors disagree, of the photos that both have tagged (`--select tagged`).
-- Grain: one row per photo whose predicted tags are not the contributors'.
-- Columns: predicted, contributed (of the 49 tags), only_predicted, only_contributed, and those to decide by.
WITH compared AS (
    SELECT
        gridimage_id,
        photos.title,
        predicted.tags AS predicted,
        list_filter({{tag_names}}, lambda tag: tag IN photos.tags) AS contributed,
        predicted.set_probability,
        predicted.top_tag,
        predicted.top_score,
        photos.grid_reference,
        photos.realname AS credit,
        predicted.photo_url,
        predicted.run_id
    FROM predictions_newest AS predicted
    JOIN photos USING (gridimage_id)
    WHERE photos.tagged
)
SELECT
    gridimage_id,
    title,
    predicted,
    contributed,
    list_filter(predicted, lambda tag: tag NOT IN contributed) AS only_predicted,
    list_filter(contributed, lambda tag: tag NOT IN predicted) AS only_contributed,
    set_probability,
    top_tag,
    top_score,
    grid_reference,
    credit,
    photo_url,
    run_id
FROM compared
WHERE predicted <> contributed
