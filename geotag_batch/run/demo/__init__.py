"""`geotag demo`: an archive that the demo draws itself, and the whole job on it."""
