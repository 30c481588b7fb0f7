"""`geotag doctor`: whether this machine and workspace are fit for a run, and what to do where they are not."""
