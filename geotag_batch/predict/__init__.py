"""Features, heads and the decision policy: embeddings to tags."""
