"""Lists of photo ids in a text file: one a line, or the first column of a CSV; a header line is allowed."""

from pathlib import Path

from geotag_batch.errors import InputError

__all__ = ["read_ids", "read_ids_in_order"]


def read_ids(path: Path) -> tuple[int, ...]:
    """Return the distinct ids in a file, ascending. Raises InputError naming the line that holds none."""
    return tuple(sorted(read_ids_in_order(path)))


def read_ids_in_order(path: Path) -> tuple[int, ...]:
    """Return the distinct ids in a file as they first come. Raises InputError naming the line that holds none."""
    found: dict[int, None] = {}
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                text = line.split(",")[0].strip().strip('"')
                if not text or (number == 1 and text == "gridimage_id"):
                    continue
                if not (text.isascii() and text.isdigit() and int(text) < 2**63):
                    raise InputError(
                        f"{path}, line {number}: {text[:40]!r} is not a gridimage_id",
                        hint="one whole number a line, or a CSV whose first column is gridimage_id",
                    )
                found[int(text)] = None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text: {error}") from error
    if not found:
        raise InputError(f"{path}: holds no ids")
    return tuple(found)
