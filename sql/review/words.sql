-- The newest decision on each photo and tag, withdrawals too, as far as it has been read; empty at first.
-- Grain: one row per photo and tag.
-- Columns: position (of the tag, from 0); the rest as in schemas/decisions.v1.json.
CREATE TABLE words (
    gridimage_id BIGINT,
    position UTINYINT,
    decision_id VARCHAR,
    decision VARCHAR,
    reviewer VARCHAR,
    decided_at TIMESTAMP,
    PRIMARY KEY (gridimage_id, position)
)
