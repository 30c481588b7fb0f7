-- The photos of the selection, and what a result that is up to date was made from.
-- Grain: one row per photo. Relations: {{catalogue}} (the catalogue, or part of it), location, asked.
-- {{select}}: untagged | tagged | all.  {{decided_too}}: which photos are taken besides.  {{tags}}: the 49 tags.  {{asked}}: true, or that the
-- id is in asked.
-- {{head}}: head_id, or null when only embedding.  {{policy}}, {{uses_title}}, {{wgs84_fallback}}: of that head.
CREATE OR REPLACE TEMP VIEW wanted AS
SELECT
    gridimage_id,
    updated_at,
    CASE
        WHEN {{head}} IS NULL THEN hash(md5(coalesce(title, '')), true)
        ELSE hash(
            CASE WHEN {{uses_title}} THEN md5(coalesce(title, '')) END,
            round(coalesce(latitude, CASE WHEN {{wgs84_fallback}} AND on_earth THEN wgs84_lat END) * 1e5)::INTEGER,
            round(coalesce(longitude, CASE WHEN {{wgs84_fallback}} AND on_earth THEN wgs84_long END) * 1e5)::INTEGER,
            {{policy}}
        )
    END AS made_from
FROM (SELECT *, wgs84_lat BETWEEN -90 AND 90 AND wgs84_long BETWEEN -180 AND 180 AS on_earth FROM {{catalogue}})
LEFT JOIN location USING (grid_reference)
WHERE
    (
        {{select}} = 'all'
        OR ({{select}} = 'tagged') = coalesce(list_bool_or(list_transform(tags, lambda tag: tag IN {{tags}})), false)
        OR {{decided_too}}
    )
    AND {{asked}}
