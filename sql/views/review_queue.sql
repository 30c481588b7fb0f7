-- What people should look at first: the least certain of what the current head says now.
-- Grain: one row per photo that the current head has predicted, in the order of set_probability.
-- Columns: set_probability (chance that exactly these tags are right, were tags independent), and those to decide by.
SELECT
    gridimage_id,
    photos.title,
    predicted.tags,
    predicted.set_probability,
    predicted.forced,
    predicted.top_tag,
    predicted.top_score,
    photos.grid_reference,
    photos.realname AS credit,
    predicted.photo_url,
    predicted.run_id
FROM predictions_newest AS predicted
LEFT JOIN photos USING (gridimage_id)
ORDER BY predicted.set_probability, gridimage_id
