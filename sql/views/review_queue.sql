-- What people should look at first: the least certain of what the current head says now and nobody has decided.
-- Grain: one row per photo that the current head has predicted with a tag that is not decided, in the order of
-- set_probability; a photo without a predicted tag is there until anybody decides on it.
-- Columns: set_probability (chance that exactly these tags are right, were tags independent), undecided (those of tags
-- that nobody has decided on), and those to decide by.
--
-- Lists are compared for the few photos alone that somebody has decided on.
SELECT
    gridimage_id,
    photos.title,
    predicted.tags,
    CASE
        WHEN reviewed.decided IS NULL THEN predicted.tags
        ELSE list_filter(predicted.tags, lambda tag: tag NOT IN reviewed.decided)
    END AS undecided,
    predicted.set_probability,
    predicted.forced,
    predicted.top_tag,
    predicted.top_score,
    photos.grid_reference,
    photos.realname AS credit,
    predicted.photo_url,
    predicted.run_id
FROM predictions_newest AS predicted
LEFT JOIN decisions_by_photo AS reviewed USING (gridimage_id)
LEFT JOIN photos USING (gridimage_id)
WHERE
    CASE
        WHEN reviewed.decided IS NULL THEN true
        ELSE len(list_filter(predicted.tags, lambda tag: tag NOT IN reviewed.decided)) > 0
    END
ORDER BY predicted.set_probability, gridimage_id
