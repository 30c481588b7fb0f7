-- Photos that came out otherwise than in an undisturbed run, compared bit for bit.
-- Grain: one row per photo. Relations: outcomes (sql/checks/outcomes.sql), expected (the same, of the undisturbed run);
-- due. With $complete false, a photo that is pending still is not different.
WITH differences AS (
    (FROM outcomes EXCEPT ALL FROM expected)
    UNION ALL
    (FROM expected EXCEPT ALL FROM outcomes)
)
SELECT DISTINCT gridimage_id
FROM differences
WHERE $complete OR gridimage_id IN (SELECT gridimage_id FROM outcomes)
ORDER BY ALL
