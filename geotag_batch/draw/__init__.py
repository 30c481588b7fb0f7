"""Figures, drawn with matplotlib from plain arrays."""
