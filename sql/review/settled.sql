-- Which tags of a photo are decided: words in a form that a page's query can use; empty at first.
-- Grain: one row per photo that somebody has decided on.
-- Columns: decided (bit i is the tag at position i, from 0).
CREATE TABLE settled (gridimage_id BIGINT PRIMARY KEY, decided BIGINT)
