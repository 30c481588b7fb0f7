"""Nightly, resumable CLIP tagging of a photo archive."""

__version__ = "0.1.0"
