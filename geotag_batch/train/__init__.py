"""Training and evaluating heads."""
