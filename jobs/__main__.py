"""`python -m geotag_batch.jobs` is `geotag`."""

from .cli import main

if __name__ == "__main__":
    main()
