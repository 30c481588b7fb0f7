-- Whether the newest run is more or less certain than the runs before it, by the current head, each as it was made.
-- Grain: one row per tenth of top_score, 0 to 9; none before the head's first run.
-- Columns: low, high (top_score from low to below high), photos_now (of the newest run), photos_before (of all earlier
-- runs), share_now, share_before (null where there are none), psi (this tenth's part).
-- Example: SELECT low, high, photos_now, photos_before, psi FROM drift_by_score
--
-- Distances are worked out from shares with half a photo added everywhere, so that a tag that is new or gone counts
-- without making them infinite. PSI, the population stability index, is the sum of (now - before) * ln(now / before).
WITH run AS (
    SELECT max(run_id) AS run_id
    FROM predictions_all
    WHERE head = {{head}}
),
counted AS (
    SELECT
        least(CAST(floor(predicted.top_score * 10) AS INTEGER), 9) AS tenth,
        count(*) FILTER (predicted.run_id = run.run_id) AS now,
        count(*) FILTER (predicted.run_id < run.run_id) AS before
    FROM predictions_all AS predicted, run
    WHERE head = {{head}}
    GROUP BY tenth
),
shares AS (
    SELECT
        tenths.tenth,
        coalesce(counted.now, 0) AS photos_now,
        coalesce(counted.before, 0) AS photos_before,
        photos_now / sum(photos_now) OVER () AS share_now,
        photos_before / nullif(sum(photos_before) OVER (), 0) AS share_before,
        (photos_now + 0.5) / sum(photos_now + 0.5) OVER () AS part_now,
        (photos_before + 0.5) / sum(photos_before + 0.5) OVER () AS part_before
    FROM range(10) AS tenths(tenth)
    LEFT JOIN counted USING (tenth)
    WHERE EXISTS (FROM counted)
)
SELECT
    CAST(tenth AS INTEGER) AS tenth,
    tenth / 10 AS low,
    (tenth + 1) / 10 AS high,
    photos_now,
    photos_before,
    share_now,
    share_before,
    CASE WHEN share_before IS NOT NULL THEN (part_now - part_before) * ln(part_now / part_before) END AS psi
FROM shares
ORDER BY tenth
