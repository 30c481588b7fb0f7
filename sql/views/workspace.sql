-- Which workspace these views belong to, and what they were made from; `geotag views` makes them anew.
-- Grain: one row.
-- Columns: root (folder when the views were made), head (current then), made_from (a hash of all views' text: another
-- one means that the views are stale).
-- Example: SELECT head FROM workspace
SELECT
    {{root}} AS root,
    {{head}} AS head,
    {{made_from}} AS made_from
