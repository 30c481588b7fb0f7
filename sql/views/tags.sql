-- The 49 context tags, in the order of every scores column.
-- Grain: one row per tag.
-- Columns: position (1 to 49: scores[position] is the tag's score), tag_id, tag, tag_group.
-- Example: FROM tags LIMIT 3
SELECT
    position,
    tag_id,
    tag,
    tag_group
FROM {{tags}}
