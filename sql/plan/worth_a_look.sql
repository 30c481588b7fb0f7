-- The next photos whose image --check-images looks at: those embedded, predicted or failed already.
-- Grain: one row per photo, at most 10,000. Relations: selected, embedded, scored, failed.
-- $after: the last gridimage_id seen.
SELECT gridimage_id, image
FROM selected
WHERE
    gridimage_id > $after
    AND (
        gridimage_id IN (SELECT gridimage_id FROM embedded)
        OR gridimage_id IN (SELECT gridimage_id FROM scored)
        OR gridimage_id IN (SELECT gridimage_id FROM failed)
    )
ORDER BY gridimage_id
LIMIT 10000
