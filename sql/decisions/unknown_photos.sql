-- The photos asked for that the catalogue does not have.
-- Grain: one row per photo. Relations: photos, asked.
SELECT gridimage_id
FROM asked
ANTI JOIN photos USING (gridimage_id)
