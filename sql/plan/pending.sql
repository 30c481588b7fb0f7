-- What is pending, why, and which work each photo needs; cheap work first, so that the encoder is needed last.
-- Grain: one row per pending photo. Relations: selected, scored, embedded, failed, predictions, signatures,
-- candidates.
-- $head, $policy: null when only embedding.  $uses_image, $uses_title, $uses_location: what the head takes.
-- $redo_before: predictions older than this are redone; null for none.  $reembed: then their embeddings too.
-- $retry_failed: every standing failure is due.  $now: UTC.
-- An image signature that is empty is unknown (imported embeddings): with it only an image that is gone has changed.
-- image_work: none | check (look at the signature first) | encode.
CREATE OR REPLACE TEMP TABLE pending AS
WITH other_heads AS (
    SELECT DISTINCT gridimage_id
    FROM predictions
    SEMI JOIN candidates USING (gridimage_id)
    WHERE head <> $head
),
compared AS (
    SELECT
        p.*,
        failed.gridimage_id IS NOT NULL AS has_failed,
        coalesce(
            $retry_failed
            OR failed.retry_after <= $now
            OR p.updated_at > failed.failed_at
            OR (look.gridimage_id IS NOT NULL AND look.signature IS DISTINCT FROM failed.image_signature),
            false
        ) AS failure_due,
        coalesce(failed.attempts, 0) AS attempts,
        scored.gridimage_id IS NOT NULL AS is_scored,
        embedded.gridimage_id IS NOT NULL AND NOT ($reembed AND embedded.embedded_at < $redo_before) AS is_embedded,
        coalesce($reembed AND embedded.embedded_at < $redo_before, false) AS stale,
        other_heads.gridimage_id IS NOT NULL AS has_other_head,
        CASE WHEN $head IS NULL THEN embedded.embedded_at ELSE scored.predicted_at END AS done_at,
        CASE WHEN $head IS NULL THEN embedded.title_hash ELSE scored.title_hash END AS done_title_hash,
        CASE WHEN $head IS NULL THEN embedded.image_signature ELSE scored.image_signature END AS done_signature,
        embedded.title_hash AS embedded_title_hash,
        embedded.image_signature AS embedded_signature,
        embedded.embedded_at AS embedded_at,
        embedded.filename AS embedding_file,
        coalesce(embedded.run_id > scored.run_id, false) AS embedded_since,
        scored.image_signature AS scored_signature,
        scored.policy_id AS policy_id,
        scored.filename AS prediction_file,
        abs(scored.latitude - p.latitude) > 1e-6
        OR abs(scored.longitude - p.longitude) > 1e-6
        OR (scored.latitude IS NULL) <> (p.latitude IS NULL) AS has_moved,
        look.gridimage_id IS NOT NULL
        AND NOT (coalesce(done_signature = '', false) AND look.signature IS NOT NULL)
        AND look.signature IS DISTINCT FROM done_signature AS image_changed,
        look.gridimage_id IS NOT NULL
        AND NOT (coalesce(embedded_signature = '', false) AND look.signature IS NOT NULL)
        AND look.signature IS DISTINCT FROM embedded_signature AS embedding_outdated
    FROM selected AS p
    LEFT JOIN scored USING (gridimage_id)
    LEFT JOIN embedded USING (gridimage_id)
    LEFT JOIN failed USING (gridimage_id)
    LEFT JOIN other_heads USING (gridimage_id)
    LEFT JOIN signatures AS look USING (gridimage_id)
),
explained AS (
    SELECT
        *,
        CASE
            WHEN has_failed THEN 'failure due'
            WHEN $head IS NOT NULL AND NOT is_scored AND has_other_head THEN 'head changed'
            WHEN NOT CASE WHEN $head IS NULL THEN is_embedded OR stale ELSE is_scored END THEN 'new'
            WHEN done_at < $redo_before THEN 'redo'
            WHEN $uses_title AND done_title_hash IS DISTINCT FROM title_hash THEN 'title changed'
            WHEN $uses_location AND $head IS NOT NULL AND has_moved THEN 'location changed'
            WHEN updated_at > done_at THEN 'photo updated'
            WHEN $uses_image AND (image_changed OR ($head IS NULL AND done_signature IS NULL)) THEN 'image changed'
            WHEN $head IS NOT NULL AND policy_id <> $policy THEN 'policy changed'
        END AS reason
    FROM compared
    WHERE NOT has_failed OR failure_due
),
worked AS (
    SELECT
        *,
        reason = 'policy changed' AND NOT embedded_since AS only_decide
    FROM explained
    WHERE reason IS NOT NULL
),
sorted_out AS (
    SELECT
        *,
        CASE
            WHEN only_decide OR NOT $uses_image THEN 'none'
            WHEN NOT is_embedded OR embedded_signature IS NULL OR embedding_outdated THEN 'encode'
            WHEN has_failed OR updated_at > embedded_at THEN 'check'
            ELSE 'none'
        END AS image_work,
        $uses_title AND NOT only_decide
        AND (NOT is_embedded OR embedded_title_hash IS DISTINCT FROM title_hash) AS encode_title
    FROM worked
)
SELECT
    row_number() OVER (ORDER BY image_work <> 'none' OR encode_title, gridimage_id) AS position,
    gridimage_id,
    title,
    title_hash,
    latitude,
    longitude,
    image,
    reason,
    attempts,
    image_work,
    encode_title,
    only_decide,
    CASE WHEN is_embedded AND NOT only_decide THEN embedding_file END AS embedding_file,
    CASE WHEN only_decide THEN prediction_file END AS prediction_file,
    CASE WHEN only_decide THEN scored_signature WHEN is_embedded THEN embedded_signature END AS image_signature
FROM sorted_out
