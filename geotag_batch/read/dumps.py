"""Dump files: which of them an archive's folder has, and their lines, plain or out of .gz or .zip."""

import codecs
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, cast

from geotag_batch.errors import InputError
from geotag_batch.read.archives import Archive, DumpTable

__all__ = ["LONGEST_LINE", "DumpFile", "decode_line", "find_dumps", "read_lines"]

LONGEST_LINE = 131_072
"""Bytes; longer lines come cut. The longest real ones (49 tags, or a title of 128 characters) are below 2 kB."""


@dataclass(frozen=True, slots=True)
class DumpFile:
    """One file to be read, and the table that its name says it is."""

    path: Path
    table: DumpTable


def find_dumps(archive: Archive, paths: Sequence[Path]) -> tuple[list[DumpFile], list[Path]]:
    """Return the archive's dumps among `paths` and in the folders of `paths`, and the CSV and TSV files left aside.

    They come in the order of the archive's tables and of each table's file names, because where two lines have the
    same id the first one counts. Raises InputError if a path is missing or unknown, a file is there twice (plain
    and packed), or there is nothing to read.
    """
    found: dict[str, tuple[int, DumpFile]] = {}
    ignored: list[Path] = []
    for path, named in _files(paths):
        recognised = _recognise(archive, path)
        if recognised is not None:
            place, table = recognised
            _, other = found.setdefault(_plain_name(path), (place, DumpFile(path, table)))
            if other.path != path:
                raise InputError(f"{other.path} and {path} are the same dump", hint="name one of the two files")
        elif named:
            raise InputError(f"{path}: is no file that `geotag ingest {archive.name}` knows", hint=_known(archive))
        elif _plain_name(path).endswith((".csv", ".tsv")):
            ignored.append(path)
    dumps = [dump for _, dump in sorted(found.values(), key=lambda item: (item[0], item[1].path))]
    if not any(dump.table.staged in archive.needed for dump in dumps):
        needed = [name for table in archive.tables if table.staged in archive.needed for name in table.files]
        raise InputError(f"{', '.join(map(str, paths))}: has no {' or '.join(needed)}", hint=_known(archive))
    return dumps, ignored


def _recognise(archive: Archive, path: Path) -> tuple[int, DumpTable] | None:
    """Return the place of the file's name in the archive's list of names, and its table."""
    name = _plain_name(path)
    patterns = [(pattern, table) for table in archive.tables for pattern in table.files]
    for place, (pattern, table) in enumerate(patterns):
        if fnmatchcase(name, pattern):
            return place, table
    return None


def _files(paths: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Yield each file, and whether it was named itself (else it lies in a folder that was)."""
    for path in paths:
        if path.is_dir():
            yield from ((entry, False) for entry in sorted(path.iterdir()) if entry.is_file())
        elif path.exists():
            yield path, True
        else:
            raise InputError(f"{path}: there is no such file or folder")


def _plain_name(path: Path) -> str:
    return path.stem if path.suffix in (".gz", ".zip") else path.name


def _known(archive: Archive) -> str:
    return f"it knows {', '.join(archive.files)}, plain, .gz or .zip"


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines with their numbers, from 1, without line ends; one longer than LONGEST_LINE is cut.

    Raises InputError naming the file if it cannot be read to its end.
    """
    number = 0
    try:
        with _open(path) as stream:
            while line := stream.readline(LONGEST_LINE + 2):
                number += 1
                rest = line
                while rest and not rest.endswith(b"\n"):
                    rest = stream.readline(LONGEST_LINE)
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)
                yield number, line.rstrip(b"\r\n")
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError) as error:
        raise InputError(
            f"{path}: cannot be read after line {number}: {error}", hint="fetch or pack the file again"
        ) from error


@contextmanager
def _open(path: Path) -> Iterator[io.BufferedReader]:
    if path.suffix == ".gz":
        with gzip.open(path, "rb") as unpacked:
            yield _buffered(unpacked)
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as packed, packed.open(_member(path, packed)) as unpacked:
            yield _buffered(unpacked)
    else:
        with path.open("rb") as plain:
            yield plain


def _buffered(stream: IO[bytes] | gzip.GzipFile) -> io.BufferedReader:
    return io.BufferedReader(cast(io.RawIOBase, stream), 1 << 20)


def _member(path: Path, packed: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the member that has the file's own name; macOS adds a shadow of it under __MACOSX/."""
    members = [
        member
        for member in packed.infolist()
        if PurePosixPath(member.filename).name == _plain_name(path) and not member.filename.startswith("__MACOSX/")
    ]
    if len(members) != 1:
        names = ", ".join(packed.namelist()[:5]) or "nothing"
        raise InputError(f"{path}: should hold one {_plain_name(path)}, holds {names}")
    if members[0].flag_bits & 1:
        raise InputError(f"{path}: is encrypted", hint="unpack it and name the plain file")
    return members[0]


def decode_line(line: bytes) -> tuple[str, bool]:
    """Return the text of a line and whether it is UTF-8; else it is Latin-1 as MySQL and the web mean it.

    That is Windows-1252, which has quotation marks where ISO 8859-1 has control codes. A line of real Latin-1 words
    is never valid UTF-8 by chance (it would need sequences such as "Ã©"), so it is decided line by line.
    """
    try:
        return line.decode("utf-8"), True
    except UnicodeDecodeError:
        pass
    try:
        return line.decode("cp1252"), False
    except UnicodeDecodeError:
        return line.decode("latin-1"), False
