-- What has become of each photo, without what differs from run to run: comparable between two workspaces, bit for bit.
-- Grain: one row per prediction or failure. Relations: predictions, failures.
SELECT
    gridimage_id,
    head,
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
    CAST(NULL AS VARCHAR) AS error_class
FROM predictions
UNION ALL BY NAME
SELECT gridimage_id, error_class, image_signature
FROM failures
