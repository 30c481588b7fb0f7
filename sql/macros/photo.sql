-- One photo: what the catalogue says, what each head and run said, what people decided, and whether it failed.
-- Grain: one row per prediction of the photo, the newest first; one where there is none but the catalogue or a failure
-- knows the photo.
-- Parameters: wanted_id
-- Columns: title, grid_reference, credit, contributed (the catalogue's), head, run_id, tags, top_tag, top_score,
-- set_probability, predicted_at (the prediction's), accepted, added, rejected (decided), failure (class of a standing one),
-- retry_after, photo_url.
-- Example: SELECT title, head, run_id, tags, accepted, rejected, failure FROM photo(2)
WITH known AS (
    SELECT gridimage_id FROM photos WHERE gridimage_id = wanted_id
    UNION
    SELECT gridimage_id FROM predictions_all WHERE gridimage_id = wanted_id
    UNION
    SELECT gridimage_id FROM failures WHERE gridimage_id = wanted_id
)
SELECT
    gridimage_id,
    described.title,
    described.grid_reference,
    described.realname AS credit,
    described.tags AS contributed,
    predicted.head,
    predicted.run_id,
    predicted.tags,
    predicted.top_tag,
    predicted.top_score,
    predicted.set_probability,
    predicted.predicted_at,
    reviewed.accepted,
    reviewed.added,
    reviewed.rejected,
    failed.error_class AS failure,
    failed.retry_after,
    replace({{photo_url}}, '{gridimage_id}', CAST(gridimage_id AS VARCHAR)) AS photo_url
FROM known
LEFT JOIN (FROM photos WHERE gridimage_id = wanted_id) AS described USING (gridimage_id)
LEFT JOIN (FROM predictions_all WHERE gridimage_id = wanted_id) AS predicted USING (gridimage_id)
LEFT JOIN (FROM decisions_by_photo WHERE gridimage_id = wanted_id) AS reviewed USING (gridimage_id)
LEFT JOIN (FROM failures WHERE gridimage_id = wanted_id) AS failed USING (gridimage_id)
ORDER BY predicted.run_id DESC, predicted.head
