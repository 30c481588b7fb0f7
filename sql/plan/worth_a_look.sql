-- The photos whose image --check-images looks at: those embedded, predicted or failed already.
-- Grain: one row per photo. Relations: selected, embedded, scored, failed.
SELECT gridimage_id, image
FROM selected
WHERE
    gridimage_id IN (SELECT gridimage_id FROM embedded)
    OR gridimage_id IN (SELECT gridimage_id FROM scored)
    OR gridimage_id IN (SELECT gridimage_id FROM failed)
ORDER BY gridimage_id
