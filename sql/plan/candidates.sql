-- Photos of the selection that may be pending: all but those whose newest result is plainly up to date.
-- The second look, so that on most nights only a few rows take part in the exact comparison of pending.sql.
-- Grain: one row per photo. Relations: wanted, done, both of the blocks in suspects.
-- $everything: leave none out (images are to be looked at, or things are to be redone).
CREATE OR REPLACE TEMP TABLE candidates AS
WITH suspected AS (
    SELECT
        gridimage_id,
        run_id,
        made_from,
        done_at
    FROM done
    WHERE NOT $everything
),
run_order AS (
    SELECT run_id, row_number() OVER (ORDER BY run_id) AS nth
    FROM (SELECT DISTINCT run_id FROM suspected)
),
newest AS (
    SELECT gridimage_id, arg_max(made_from, nth) AS made_from, arg_max(done_at, nth) AS done_at
    FROM suspected
    JOIN run_order USING (run_id)
    GROUP BY gridimage_id
)
SELECT gridimage_id
FROM wanted
LEFT JOIN newest USING (gridimage_id)
WHERE
    newest.gridimage_id IS NULL
    OR newest.made_from <> wanted.made_from
    OR wanted.updated_at > newest.done_at
