-- What each result was made from, as a fingerprint, and when.
-- Grain: one row per prediction by {{head}}, of all runs; without a head, per embedding by {{encoder}}.
-- Relations: {{predictions}}, {{embeddings}}: all of them, or part.
-- {{head}}: head_id, or null when only embedding with {{encoder}}.  {{uses_title}}: of that head.
CREATE OR REPLACE TEMP VIEW done AS
SELECT
    gridimage_id,
    run_id,
    hash(
        CASE WHEN {{uses_title}} THEN title_hash END,
        round(latitude * 1e5)::INTEGER,
        round(longitude * 1e5)::INTEGER,
        policy_id
    ) AS made_from,
    predicted_at AS done_at
FROM {{predictions}}
WHERE head = {{head}}
UNION ALL
SELECT
    gridimage_id,
    run_id,
    hash(title_hash, image_signature IS NOT NULL),
    strptime(left(run_id, 16), '%Y%m%dT%H%M%SZ')
FROM {{embeddings}}
WHERE {{head}} IS NULL AND encoder = {{encoder}}
