"""The 49 context tags, in ascending tag_id: the order of every head's outputs and of every scores column."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from geotag_batch.resources import read_resource

__all__ = ["Tag", "tag_index", "tag_names", "tags"]


@dataclass(frozen=True, slots=True)
class Tag:
    """One context tag as the archive defines it."""

    tag_id: int
    tag: str
    group: str


@cache
def tags() -> tuple[Tag, ...]:
    """Return all tags in ascending tag_id."""
    rows = csv.DictReader(read_resource("schemas", "tags.csv").splitlines())
    found = tuple(Tag(int(row["tag_id"]), row["tag"], row["group"]) for row in rows)
    if [tag.tag_id for tag in found] != sorted({tag.tag_id for tag in found}):
        raise ValueError("schemas/tags.csv must be in ascending tag_id without repetition")
    return found


@cache
def tag_names() -> tuple[str, ...]:
    """Return the tags' names in ascending tag_id."""
    return tuple(tag.tag for tag in tags())


@cache
def tag_index() -> Mapping[str, int]:
    """Return each tag name's position in the scores column."""
    return MappingProxyType({name: position for position, name in enumerate(tag_names())})
