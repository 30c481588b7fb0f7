-- How far the newest run of the current head is from the runs before it, in one line.
-- Grain: one row; none before the head's first run.
-- Columns: run_id (the newest), photos_now, photos_before (predictions of that run, of all earlier ones), tags_psi and
-- tags_variation (how different the tags given are, as in drift_by_tag), scores_psi and scores_variation (how different
-- top_score is, as in drift_by_score). PSI is at least 0: up to 0.1 is usually called stable, over 0.25 a shift; the total
-- variation is half the sum of differences of shares, 0 (the same) to 1. They are null without an earlier run.
-- Example: FROM drift
WITH by_tag AS (
    SELECT
        sum(psi) AS psi,
        sum(abs(now - before)) / 2 AS variation
    FROM (
        SELECT
            psi,
            photos_now / sum(photos_now) OVER () AS now,
            photos_before / nullif(sum(photos_before) OVER (), 0) AS before
        FROM drift_by_tag
    )
),
by_score AS (
    SELECT
        CAST(sum(photos_now) AS BIGINT) AS now,
        CAST(sum(photos_before) AS BIGINT) AS before,
        sum(psi) AS psi,
        sum(abs(share_now - share_before)) / 2 AS variation
    FROM drift_by_score
)
SELECT
    (SELECT max(run_id) FROM predictions_all WHERE head = {{head}}) AS run_id,
    by_score.now AS photos_now,
    by_score.before AS photos_before,
    by_tag.psi AS tags_psi,
    by_tag.variation AS tags_variation,
    by_score.psi AS scores_psi,
    by_score.variation AS scores_variation
FROM by_tag, by_score
WHERE by_score.now > 0
