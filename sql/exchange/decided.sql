-- What people have decided, by the tag's place.
-- Grain: one row per photo and tag that is decided now. Relations: decisions_newest, tags.
CREATE OR REPLACE TEMP TABLE decided AS
SELECT gridimage_id, tags.position, decision
FROM decisions_newest
JOIN tags USING (tag)
