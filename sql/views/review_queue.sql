-- What people should look at first: the least certain of what the current head says now and nobody has decided.
-- Grain: one row per photo of waiting, in the order of set_probability.
-- Columns: set_probability (chance that exactly these tags are right, were tags independent), undecided (those of tags
-- that nobody has decided on), and those to decide by. Over millions the macro queue(50) is faster than a LIMIT here.
-- Example: SELECT gridimage_id, title, undecided, set_probability, credit FROM review_queue LIMIT 3
SELECT
    gridimage_id,
    photos.title,
    waiting.tags,
    waiting.undecided,
    waiting.set_probability,
    waiting.forced,
    waiting.top_tag,
    waiting.top_score,
    photos.grid_reference,
    photos.realname AS credit,
    waiting.photo_url,
    waiting.run_id
FROM waiting
LEFT JOIN photos USING (gridimage_id)
ORDER BY waiting.set_probability, gridimage_id
