-- Lines about photos that the dumps do not hold (Geograph has places and tags of pending and rejected photos).
-- Grain: one row. Relations: photo_ids; staged locations, labels.
SELECT
    (SELECT count(*) FROM {{locations}} ANTI JOIN photo_ids USING (gridimage_id)) AS locations,
    (SELECT count(*) FROM {{labels}} ANTI JOIN photo_ids USING (gridimage_id)) AS labels
