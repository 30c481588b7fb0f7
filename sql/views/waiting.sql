-- What nobody has decided yet of what the current head says now; no catalogue, no order: what queues are made from.
-- Grain: one row per photo that the current head has predicted with a tag that is not decided; a photo without a
-- predicted tag is there until anybody decides on it.
-- Columns: undecided (those of tags that nobody has decided on), and those of predictions_newest to decide by.
-- Example: SELECT gridimage_id, tags, undecided FROM waiting ORDER BY gridimage_id LIMIT 4
--
-- Lists are compared for the few photos alone that somebody has decided on.
SELECT
    gridimage_id,
    predicted.tags,
    CASE
        WHEN reviewed.decided IS NULL THEN predicted.tags
        ELSE list_filter(predicted.tags, lambda tag: tag NOT IN reviewed.decided)
    END AS undecided,
    predicted.set_probability,
    predicted.forced,
    predicted.top_tag,
    predicted.top_score,
    predicted.scores,
    predicted.photo_url,
    predicted.run_id
FROM predictions_newest AS predicted
LEFT JOIN decisions_by_photo AS reviewed USING (gridimage_id)
WHERE
    CASE
        WHEN reviewed.decided IS NULL THEN true
        ELSE len(list_filter(predicted.tags, lambda tag: tag NOT IN reviewed.decided)) > 0
    END
