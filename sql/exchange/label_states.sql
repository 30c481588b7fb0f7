-- What each photo's labels amount to, as one number: another one means that they are others.
-- Grain: one row per photo. Relations: labels (sql/exchange/labels.sql).
CREATE OR REPLACE TEMP TABLE states AS
SELECT gridimage_id, bit_xor(hash(label, score)) AS state
FROM labels
WHERE source <> 'rejected'
GROUP BY gridimage_id
