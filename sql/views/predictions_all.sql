-- Every prediction that is committed: all heads, all runs.
-- Grain: one row per photo, head and run.
-- Columns: head, run_date (UTC date of the run's start), and those of schemas/predictions.v1.json.
-- Example: SELECT head, run_date, gridimage_id, tags, top_score FROM predictions_all WHERE gridimage_id = 1 ORDER BY
-- run_id
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
    predicted_at
FROM {{predictions}}
