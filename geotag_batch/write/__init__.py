"""Everything that is committed to the workspace, and the views over it."""
