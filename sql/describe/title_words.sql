-- The words that most titles have; those of fewer than four letters are left out, and say little.
-- Grain: one row per word. Relations: known. $words: how many.
SELECT word, count(*) AS photos
FROM (
    SELECT unnest(list_distinct(regexp_extract_all(lower(title), '[\p{L}\p{M}][\p{L}\p{M}''’]{3,40}'))) AS word
    FROM known
)
GROUP BY word
ORDER BY photos DESC, word
LIMIT $words
