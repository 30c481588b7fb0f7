-- The labels of a range of photos as they are now, decisions first: what people have decided is so, whatever a head says.
-- Grain: one row per photo and label; a photo without any has one row, None or Failed. A tag that people rejected and the
-- head would give has a row with source rejected, which is counted and never exported.
-- Relations: photos, predictions_all, decided, last_words, failed, tags.
-- $head: head_id.  $least: a score has to be over it.  $first, $last: ids, both included.
-- position: of the tag (1 to 49; 0 for None and Failed).  score: the head's; 1 where people accepted or added the tag.
-- run_id: of the run that spoke last of the photo.  decision_id: of the newest word on it.
CREATE OR REPLACE TEMP TABLE labels AS
WITH known AS (
    SELECT gridimage_id FROM photos WHERE gridimage_id BETWEEN $first AND $last
),
newest AS (
    SELECT gridimage_id, max(run_id) AS run_id
    FROM predictions_all
    SEMI JOIN known USING (gridimage_id)
    WHERE head = $head AND gridimage_id BETWEEN $first AND $last
    GROUP BY gridimage_id
),
scored AS (
    SELECT gridimage_id, unnest(scores) AS score, generate_subscripts(scores, 1) AS position
    FROM predictions_all
    SEMI JOIN newest USING (gridimage_id, run_id)
    WHERE head = $head AND gridimage_id BETWEEN $first AND $last
),
given AS (
    SELECT gridimage_id, position, score, decision
    FROM (FROM scored WHERE score > CAST($least AS FLOAT)) AS likely
    LEFT JOIN decided USING (gridimage_id, position)
    WHERE decision IS NULL OR decision = 'reject'
    UNION ALL
    SELECT gridimage_id, position, CAST(1 AS FLOAT), decision
    FROM decided
    SEMI JOIN known USING (gridimage_id)
    WHERE decision <> 'reject'
),
empty AS (
    SELECT gridimage_id, bool_or(is_failed) AND NOT bool_or(is_scored) AS is_failed
    FROM (
        SELECT gridimage_id, false AS is_failed, true AS is_scored FROM newest
        UNION ALL
        SELECT gridimage_id, false, false FROM last_words SEMI JOIN known USING (gridimage_id)
        UNION ALL
        SELECT gridimage_id, true, false FROM failed SEMI JOIN known USING (gridimage_id)
    )
    ANTI JOIN (FROM given WHERE decision IS DISTINCT FROM 'reject') AS present USING (gridimage_id)
    GROUP BY gridimage_id
),
every AS (
    SELECT
        gridimage_id,
        given.position,
        tags.tag AS label,
        score,
        CASE decision WHEN 'accept' THEN 'accepted' WHEN 'add' THEN 'added' WHEN 'reject' THEN 'rejected' ELSE 'head' END
            AS source
    FROM given
    JOIN tags USING (position)
    UNION ALL
    SELECT gridimage_id, 0, CASE WHEN is_failed THEN 'Failed' ELSE 'None' END, NULL, 'head'
    FROM empty
)
SELECT
    every.*,
    coalesce(newest.run_id, failed.run_id) AS run_id,
    last_words.decision_id
FROM every
LEFT JOIN newest USING (gridimage_id)
LEFT JOIN failed USING (gridimage_id)
LEFT JOIN last_words USING (gridimage_id)
