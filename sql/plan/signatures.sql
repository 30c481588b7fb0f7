-- What images look like now, as far as --check-images looked; filled from Python.
-- Grain: one row per photo looked at; signature is null for an image that is gone.
CREATE OR REPLACE TEMP TABLE signatures (gridimage_id BIGINT, signature VARCHAR)
