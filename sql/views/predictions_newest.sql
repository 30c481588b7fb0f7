-- What the current head says now, without the catalogue: cheaper than predictions where only tags or scores count.
-- Grain: one row per photo that the current head has predicted.
-- Columns: those of predictions_all, and photo_url.
--
-- Newest is of the greatest run_id, found over two columns (gridimage_id, run_id) and joined back, so that scores and
-- the other wide columns are read once, as they stream by, and nothing wide is sorted or kept. The filters on head
-- leave out the other heads' files; one on gridimage_id reaches both sides of the join.
WITH newest AS (
    SELECT gridimage_id, max(run_id) AS run_id
    FROM predictions_all
    WHERE head = {{head}}
    GROUP BY gridimage_id
)
SELECT
    head,
    run_date,
    gridimage_id,
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
    run_id,
    predicted_at,
    replace({{photo_url}}, '{gridimage_id}', CAST(gridimage_id AS VARCHAR)) AS photo_url
FROM predictions_all
JOIN newest USING (gridimage_id, run_id)
WHERE head = {{head}}
