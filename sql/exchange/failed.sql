-- Photos that could not be used, as far as that concerns the head or its encoder, and still cannot.
-- Grain: one row per photo. Relations: failures (sql/views/failures.sql). $head, $encoder: ids.
CREATE OR REPLACE TEMP TABLE failed AS
SELECT gridimage_id, run_id
FROM failures
WHERE (head IS NULL OR head = $head) AND (encoder_id IS NULL OR encoder_id = $encoder)
