"""The dumps that ingest knows: for each archive which files it has and what their columns become.

One reader (ingest.py) reads them all; what differs between Kaggle's CSV and Geograph's TSV is only in these maps.
"""

import html
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import pyarrow as pa

from geotag_batch.taxonomy import tag_index, tags

__all__ = ["ARCHIVES", "STAGED", "Archive", "Column", "DumpTable", "LeftOut", "Rejected"]


class Rejected(Exception):
    """A line cannot be used; the message is the reason that goes to rejected/."""


class LeftOut(Exception):
    """A line is fine and not for the catalogue; the message is what it is counted as."""


Parse = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a dump: how its text is parsed and which staged column it becomes (None: only looked at)."""

    name: str
    parse: Parse
    staged: str | None
    required: bool = True


@dataclass(frozen=True, slots=True)
class DumpTable:
    """One kind of dump file, by patterns of its name without .gz or .zip, and the staged table that it fills.

    A `multi_hot` one has a column of 0 or 1 for each of the 49 tags besides.
    """

    staged: str
    files: tuple[str, ...]
    separator: str
    columns: tuple[Column, ...]
    multi_hot: bool = False
    unique_ids: bool = True

    @property
    def tag_columns(self) -> tuple[str, ...]:
        """Return the names of the multi-hot columns, in ascending tag_id."""
        return tuple(f"tag{tag.tag_id}" for tag in tags()) if self.multi_hot else ()

    @property
    def required(self) -> tuple[str, ...]:
        """Return the columns that the header must have."""
        return (*(column.name for column in self.columns if column.required), *self.tag_columns)


@dataclass(frozen=True, slots=True)
class Archive:
    """All dump files of one archive. At least one file of a table named in `needed` must be there.

    `labels_list_photos`: a photo in the labels is a photo, whether or not the photos' own dump has it.
    """

    name: str
    tables: tuple[DumpTable, ...]
    needed: tuple[str, ...]
    labels_list_photos: bool

    @property
    def files(self) -> tuple[str, ...]:
        """Return the patterns of all file names, without .gz or .zip."""
        return tuple(pattern for table in self.tables for pattern in table.files)


STAGED = MappingProxyType(
    {
        "photos": pa.schema(
            [
                ("gridimage_id", pa.int64()),
                ("title", pa.string()),
                ("grid_reference", pa.string()),
                ("user_id", pa.int64()),
                ("realname", pa.string()),
                ("imagetaken", pa.string()),
            ]
        ),
        "locations": pa.schema(
            [("gridimage_id", pa.int64()), ("wgs84_lat", pa.float64()), ("wgs84_long", pa.float64())]
        ),
        # Bit i is the i-th tag: 49 bits a photo, so that any number of tag rows adds up in constant space.
        "labels": pa.schema([("gridimage_id", pa.int64()), ("tag_bits", pa.int64())]),
        "listed": pa.schema([("gridimage_id", pa.int64())]),
    }
)
"""What the dumps are staged as: one Parquet file each, rows in the dump's order."""


def _gridimage_id(text: str) -> int:
    number = _whole_number(text)
    if not number:
        raise Rejected("gridimage_id is not a positive whole number")
    return number


def _user_id(text: str) -> int | None:
    if not text:
        return None
    number = _whole_number(text)
    if number is None:
        raise Rejected("user_id is not a whole number")
    return number


def _whole_number(text: str) -> int | None:
    """Return what ASCII figures say if it fits int64; int() alone takes " 7", "1_0" and Arabic figures."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        return None
    number = int(text)
    return number if number < 2**63 else None


def _text(text: str) -> str | None:
    return (html.unescape(text) if "&" in text else text) or None


_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?")


def _degrees(name: str, most: float) -> Parse:
    def parse(text: str) -> float | None:
        if text in ("", "NULL"):
            return None
        if not _NUMBER.fullmatch(text) or not math.fabs(degrees := float(text)) <= most:
            raise Rejected(f"{name} is not a number of degrees")
        return degrees

    return parse


def _moderation_status(text: str) -> None:
    if text in ("pending", "rejected"):
        raise LeftOut(f"moderation_status {text}")
    if text not in ("accepted", "geograph"):
        raise Rejected("moderation_status is none of accepted, geograph, pending, rejected")


def _tag_bit(text: str) -> int:
    position = tag_index().get(html.unescape(text).removeprefix("top:").strip())
    if position is None:
        raise LeftOut("tag other than the 49")
    return 1 << position


_ID = Column("gridimage_id", _gridimage_id, "gridimage_id")
_TITLE = Column("title", _text, "title")
_GRID_REFERENCE = Column("grid_reference", _text, "grid_reference")

_KAGGLE = Archive(
    name="kaggle",
    tables=(
        DumpTable(
            staged="photos",
            files=("metadata.csv", "metadata-extra.csv"),
            separator=",",
            columns=(
                _ID,
                _TITLE,
                _GRID_REFERENCE,
                Column("user_id", _user_id, "user_id", required=False),
                Column("realname", _text, "realname", required=False),
                Column("imagetaken", _text, "imagetaken", required=False),
            ),
        ),
        DumpTable(
            staged="labels",
            files=("train.csv", "train-extra.csv"),
            separator=",",
            columns=(_ID,),
            multi_hot=True,
        ),
        DumpTable(staged="listed", files=("test.csv",), separator=",", columns=(_ID,)),
    ),
    needed=("photos", "labels", "listed"),
    labels_list_photos=True,
)

_GEOGRAPH = Archive(
    name="geograph",
    tables=(
        DumpTable(
            staged="photos",
            files=("gridimage_base.tsv",),
            separator="\t",
            columns=(
                _ID,
                Column("moderation_status", _moderation_status, None),
                _TITLE,
                _GRID_REFERENCE,
                Column("user_id", _user_id, "user_id"),
                Column("realname", _text, "realname"),
                Column("imagetaken", _text, "imagetaken"),
            ),
        ),
        DumpTable(
            staged="locations",
            files=("gridimage_geo.tsv",),
            separator="\t",
            columns=(
                _ID,
                Column("wgs84_lat", _degrees("wgs84_lat", 90), "wgs84_lat"),
                Column("wgs84_long", _degrees("wgs84_long", 180), "wgs84_long"),
            ),
        ),
        DumpTable(
            staged="labels",
            files=("*tag*.tsv",),
            separator="\t",
            columns=(_ID, Column("tag", _tag_bit, "tag_bits")),
            unique_ids=False,
        ),
    ),
    needed=("photos",),
    labels_list_photos=False,
)

ARCHIVES = MappingProxyType({archive.name: archive for archive in (_KAGGLE, _GEOGRAPH)})
"""The archives by the name of their command and of their catalogue file."""
