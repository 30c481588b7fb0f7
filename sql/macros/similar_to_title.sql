-- The photos whose titles are most like that of one photo, by the cosine of their embeddings; all are compared.
-- Grain: one row per photo but the one asked for, the most similar first, equals by id.
-- Parameters: wanted_id, first_rows := 20
-- Columns: similarity (cosine, to float32), title, grid_reference, credit (the catalogue's; null if it was withdrawn),
-- photo_url. Empty if the photo has no title embedding; a vector of zeros or with a value that is not finite is like none.
-- Example: SELECT gridimage_id, title, grid_reference, similarity FROM similar_to_title(2, first_rows := 3)
{{similar_title}}
