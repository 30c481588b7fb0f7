-- Whether the newest run gives other tags than the runs before it, by the current head, each run as it was made.
-- Grain: one row per tag, all 49, the largest change first; none before the head's first run.
-- Columns: photos_now (of the newest run, with the tag), photos_before (of all earlier runs), share_now, share_before (of
-- that run's and those runs' photos; null where there are none), change (share_now - share_before), psi (the tag's part).
-- Example: SELECT tag, photos_now, photos_before, share_now, share_before, psi FROM drift_by_tag LIMIT 4
--
-- Distances are worked out from shares with half a photo added everywhere, so that a tag that is new or gone counts
-- without making them infinite. PSI, the population stability index, is the sum of (now - before) * ln(now / before).
WITH run AS (
    SELECT max(run_id) AS run_id
    FROM predictions_all
    WHERE head = {{head}}
),
photos AS (
    SELECT
        count(*) FILTER (predicted.run_id = run.run_id) AS now,
        count(*) FILTER (predicted.run_id < run.run_id) AS before
    FROM predictions_all AS predicted, run
    WHERE head = {{head}}
    HAVING now > 0
),
given AS (
    SELECT predicted.run_id = run.run_id AS is_now, unnest(predicted.tags) AS tag
    FROM predictions_all AS predicted, run
    WHERE head = {{head}}
),
counted AS (
    SELECT tag, count(*) FILTER (is_now) AS now, count(*) FILTER (NOT is_now) AS before
    FROM given
    GROUP BY tag
),
shares AS (
    SELECT
        tags.tag_id,
        tag,
        coalesce(counted.now, 0) AS photos_now,
        coalesce(counted.before, 0) AS photos_before,
        photos_now / photos.now AS share_now,
        photos_before / nullif(photos.before, 0) AS share_before,
        (photos_now + 0.5) / sum(photos_now + 0.5) OVER () AS part_now,
        (photos_before + 0.5) / sum(photos_before + 0.5) OVER () AS part_before
    FROM tags
    LEFT JOIN counted USING (tag)
    CROSS JOIN photos
)
SELECT
    tag_id,
    tag,
    photos_now,
    photos_before,
    share_now,
    share_before,
    share_now - share_before AS change,
    CASE WHEN share_before IS NOT NULL THEN (part_now - part_before) * ln(part_now / part_before) END AS psi
FROM shares
ORDER BY psi DESC NULLS LAST, photos_now DESC, tag_id
