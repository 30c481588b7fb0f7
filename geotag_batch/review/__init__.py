"""`geotag review`: people look at predictions and decide, in a browser."""
