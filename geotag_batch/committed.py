"""The names of committed files, and which of them count.

One chunk of one run is ``<run_id>-<chunk>.parquet``. `geotag compact` merges such files, and names what it makes after
them: ``<last>_<first>_<files>_<since>.parquet`` takes the place of so many files of its folder, from the first to the
last in the order of their names, and counts from the time `since` on. Until the files that it repeats are removed both
are there. Whoever lists a folder once, as Python does, takes the merged file as soon as it is there. A query lists a
folder twice, so for queries `since` decides: sql/committed/not_counting.sql.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["SINCE", "FileName", "counting", "hidden", "parse_name", "repeated"]

SINCE = "%Y%m%dT%H%M%SZ"
"""How the time in a merged file's name is written, in UTC."""

_CHUNK = r"\d{8}T\d{6}Z-[0-9a-f]{4}-\d+"
_NAME = re.compile(rf"({_CHUNK})(?:_({_CHUNK})_(\d+)_(\d{{8}}T\d{{6}}Z))?\.parquet")


@dataclass(frozen=True, slots=True)
class FileName:
    """What the name of a committed file says.

    `first` and `last` are the <run_id>-<chunk> of the files in it, which are the same unless it is a merged one, that
    of so many `files`, which counts from `since` (UTC, without zone) on.
    """

    first: str
    last: str
    files: int = 1
    since: datetime | None = None

    @property
    def run_id(self) -> str:
        """Return the run of the file, the last one of a merged file."""
        return self.last.rpartition("-")[0]

    def repeats(self, other: "FileName") -> bool:
        """Return whether this, a merged file, takes the place of that other one of its folder."""
        within = self.first <= other.first and other.last <= self.last
        return within and (self.first, self.last) != (other.first, other.last)

    def merged_name(self, last: "FileName", files: int, since: datetime) -> str:
        """Return the name of what is merged from so many files, this one the first of them."""
        return f"{last.last}_{self.first}_{files}_{since:{SINCE}}.parquet"


def parse_name(name: str) -> FileName | None:
    """Return what a committed file's name says; None if it is no such name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    last, first, files, since = match.groups()
    if first is None:
        return FileName(last, last)
    try:
        return FileName(first, last, int(files), datetime.strptime(since, SINCE))
    except ValueError:  # the 31st of June
        return None


def repeated(paths: Iterable[Path]) -> dict[Path, Path]:
    """Return which of `paths`, one listing, are repeated by a merged file among them, and by which."""
    folders: defaultdict[Path, list[tuple[Path, FileName]]] = defaultdict(list)
    for path in paths:
        name = parse_name(path.name)
        if name is not None:
            folders[path.parent].append((path, name))
    found = {}
    for named in folders.values():
        for merged, outer in named:
            if outer.since is not None:
                found.update({path: merged for path, inner in named if outer.repeats(inner)})
    return found


def hidden(paths: Iterable[Path]) -> list[tuple[str, str]]:
    """Return ranges of paths, both ends included, that hold what merged files that count now repeat among `paths`.

    A query that leaves these out does not even open them, so that they can be removed later. The merged file itself
    sorts after the last file that it repeats.
    """
    now, found = datetime.now(UTC).replace(tzinfo=None), []
    for merged in sorted(set(repeated(paths).values())):
        name = parse_name(merged.name)
        if name is not None and name.since is not None and name.since <= now:
            found.append((f"{merged.parent}/{name.first}", f"{merged.parent}/{name.last}.parquet"))
    return found


def counting(paths: Iterable[Path]) -> list[Path]:
    """Return the `paths` of one listing, without those that are repeated by a merged file among them."""
    listed = list(paths)
    known = repeated(listed)
    return [path for path in listed if path not in known]
