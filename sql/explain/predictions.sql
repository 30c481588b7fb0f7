-- What each head and run said of one photo; the heads' newest words in the order of their time, each with its earlier ones.
-- Grain: one row per head and run. Relations: predictions. $gridimage_id: the photo.
SELECT
    head,
    run_id,
    predicted_at,
    run_id = max(run_id) OVER (PARTITION BY head) AS is_newest,
    tags,
    forced,
    set_probability,
    policy_id,
    has_image,
    has_title,
    has_location,
    latitude,
    longitude,
    title_hash,
    image_signature,
    scores
FROM predictions
WHERE gridimage_id = $gridimage_id
ORDER BY max(run_id) OVER (PARTITION BY head) DESC, head, run_id DESC
