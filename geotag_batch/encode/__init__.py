"""Frozen CLIP: images and titles to embeddings."""
