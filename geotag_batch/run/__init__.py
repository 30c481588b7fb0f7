"""The jobs themselves: backfill, status, query, verify, demo."""
