-- The photos that the dumps hold: those with a line of their own, and those that Kaggle only lists.
-- Grain: one row per photo. Relations: staged photos, labels, listed.
-- $labels_list_photos: a photo in the labels is a photo, whether or not it has a line of its own.
CREATE TEMP TABLE photo_ids AS
SELECT gridimage_id FROM {{photos}}
UNION
SELECT gridimage_id FROM {{listed}}
UNION
SELECT gridimage_id FROM {{labels}} WHERE $labels_list_photos
