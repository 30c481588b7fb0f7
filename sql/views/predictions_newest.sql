-- What the current head says now, without the catalogue: cheaper than predictions where only tags or scores count.
-- Grain: one row per photo that the current head has predicted.
-- Columns: those of predictions_all, and photo_url.
-- Example: SELECT gridimage_id, tags, top_score, run_id FROM predictions_newest ORDER BY gridimage_id LIMIT 3
--
-- Newest is of the greatest run_id. Most photos have one prediction only, so what is dear, grouping by photo, is kept to
-- the others (sql/parts/repeated.sql): the rows of a few ids alone are read again, and scores and the other wide columns
-- once, as they stream by.
-- The comparison with coalesce, rather than OR IS NULL, lets DuckDB expect every row to pass, so that a join with the
-- catalogue does not take this wide side to build its hash table from.
WITH repeated AS (
    {{repeated_predictions}}
),
newest AS (
    SELECT gridimage_id, max(run_id) AS run_id
    FROM predictions_all
    SEMI JOIN repeated USING (gridimage_id)
    WHERE head = {{head}}
    GROUP BY gridimage_id
)
SELECT
    head,
    run_date,
    predicted.gridimage_id,
    tags,
    scores,
    top_tag,
    top_score,
    set_probability,
    forced,
    has_image,
    has_title,
    has_location,
    title_hash,
    image_signature,
    latitude,
    longitude,
    policy_id,
    predicted.run_id,
    predicted_at,
    replace({{photo_url}}, '{gridimage_id}', CAST(predicted.gridimage_id AS VARCHAR)) AS photo_url
FROM predictions_all AS predicted
LEFT JOIN newest USING (gridimage_id)
WHERE head = {{head}} AND predicted.run_id = coalesce(newest.run_id, predicted.run_id)
