"""Catalogue, images and their sources: everything that comes in."""
