-- Photos of the selection that may be pending: all but those whose newest result is plainly up to date.
-- A cheap first look, so that on most nights only a few rows take part in the exact comparison of pending.sql:
-- of each photo it keeps two numbers, a fingerprint of what the newest result was made from and its time.
-- Grain: one row per photo. Relations: catalogue, location, asked, predictions, embeddings.
-- $select: untagged | tagged | all.  $tags: the 49 tags.  $only_asked: keep to the ids in asked.
-- $head: head_id, or null when only embedding with $encoder.  $policy, $uses_title, $wgs84_fallback: of that head.
-- $everything: leave none out (images are to be looked at, or things are to be redone).
CREATE OR REPLACE TEMP TABLE candidates AS
WITH done AS (
    SELECT
        gridimage_id,
        run_id,
        hash(
            CASE WHEN $uses_title THEN title_hash END,
            round(latitude * 1e5)::INTEGER,
            round(longitude * 1e5)::INTEGER,
            policy_id
        ) AS made_from,
        predicted_at AS done_at
    FROM predictions
    WHERE head = $head AND NOT $everything
    UNION ALL
    SELECT
        gridimage_id,
        run_id,
        hash(title_hash, image_signature IS NOT NULL),
        strptime(left(run_id, 16), '%Y%m%dT%H%M%SZ')
    FROM embeddings
    WHERE $head IS NULL AND encoder = $encoder AND NOT $everything
),
run_order AS (
    SELECT run_id, row_number() OVER (ORDER BY run_id) AS nth
    FROM (SELECT DISTINCT run_id FROM done)
),
newest AS (
    SELECT gridimage_id, arg_max(made_from, nth) AS made_from, arg_max(done_at, nth) AS done_at
    FROM done
    JOIN run_order USING (run_id)
    GROUP BY gridimage_id
),
photo AS (
    SELECT
        gridimage_id,
        updated_at,
        CASE
            WHEN $head IS NULL THEN hash(md5(coalesce(title, '')), true)
            ELSE hash(
                CASE WHEN $uses_title THEN md5(coalesce(title, '')) END,
                round(coalesce(latitude, CASE WHEN $wgs84_fallback THEN wgs84_lat END) * 1e5)::INTEGER,
                round(coalesce(longitude, CASE WHEN $wgs84_fallback THEN wgs84_long END) * 1e5)::INTEGER,
                $policy
            )
        END AS made_from
    FROM catalogue
    LEFT JOIN location USING (grid_reference)
    WHERE
        ($select = 'all' OR ($select = 'tagged') = list_has_any(coalesce(tags, []), $tags))
        AND (NOT $only_asked OR gridimage_id IN (SELECT gridimage_id FROM asked))
)
SELECT gridimage_id
FROM photo
LEFT JOIN newest USING (gridimage_id)
WHERE
    newest.gridimage_id IS NULL
    OR newest.made_from <> photo.made_from
    OR photo.updated_at > newest.done_at
