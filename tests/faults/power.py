"""Power cuts: what a run did to the disk is recorded, and each disk that a cut could have left is made and recovered.

The model is pessimistic, as POSIX allows: a file's bytes are on the disk once that file was synced, a name once its
folder was. At each moment every subset of up to three of the operations that are pending may be missing, or, where
they are bytes, cut in half or garbage. Two names of one step are two operations, though a rename is one on any disk of
today. What is in staging/ counts for nothing, since the next run removes that folder.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import combinations, product
from pathlib import Path

__all__ = ["Disk", "Operation", "read_log", "states"]

_AT_ONCE = 3  # pending operations that are lost together; most bugs of the kind need no more


@dataclass(frozen=True, slots=True)
class Operation:
    """One change: `bytes` of an inode, or a name in a folder (an inode) that is given to an inode, or to none."""

    kind: str  # bytes | name | sync
    inode: int
    name: str = ""
    target: int | None = None
    data: bytes = b""


@dataclass(slots=True)
class Disk:
    """What is on a disk: the bytes of files and the names in folders, both by inode; `root` is the workspace's."""

    root: int
    files: dict[int, bytes] = field(default_factory=dict)
    folders: dict[int, dict[str, int]] = field(default_factory=dict)

    def copy(self) -> "Disk":
        """Return a disk that may be changed."""
        return Disk(self.root, dict(self.files), {inode: dict(names) for inode, names in self.folders.items()})

    def apply(self, operation: Operation) -> None:
        """Do one operation."""
        if operation.kind == "bytes":
            self.files[operation.inode] = operation.data
        elif operation.kind == "name":
            names = self.folders.setdefault(operation.inode, {})
            if operation.target is None:
                names.pop(operation.name, None)
            else:
                names[operation.name] = operation.target

    def tree(self) -> dict[str, bytes]:
        """Return the files that have a name, by their path below the root, without staging/."""
        found: dict[str, bytes] = {}

        def walk(inode: int, path: str) -> None:
            for name, target in self.folders.get(inode, {}).items():
                if path == "" and name == "staging":
                    continue
                if target in self.folders:
                    walk(target, f"{path}{name}/")
                else:
                    found[f"{path}{name}"] = self.files.get(target, b"")

        walk(self.root, "")
        return found


def read_log(log: Path) -> tuple[Disk, list[Operation]]:
    """Return the disk at the start of a recorded run, and what the run did, as child.py's `record` has written it."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    disk = Disk(lines[0]["inode"])
    disk.folders = {line["inode"]: {} for line in lines if line["kind"] == "folder"}
    operations = [
        Operation(
            line["kind"], line["inode"], line.get("name", ""), line.get("target"), bytes.fromhex(line.get("data", ""))
        )
        for line in lines
        if line["kind"] != "folder"
    ]
    start = next(place for place, operation in enumerate(operations) if operation.kind == "start")
    for operation in operations[:start]:
        disk.apply(operation)
    return disk, operations[start + 1 :]


def states(disk: Disk, operations: list[Operation], at_once: int = _AT_ONCE) -> Iterator[tuple[str, Disk | None]]:
    """Yield each disk that a power cut during or after `operations` could leave, with a name.

    One that is like an earlier one is None.
    """
    seen: set[str] = set()
    durable, pending = disk.copy(), list[Operation]()
    staging = _staging_inodes(disk, operations)
    for moment, operation in enumerate(operations):
        if operation.kind == "sync":
            for done in [waiting for waiting in pending if waiting.inode == operation.inode]:
                durable.apply(done)
                pending.remove(done)
        else:
            pending.append(operation)
        losable = [waiting for waiting in pending if waiting.inode not in staging]
        subsets = [subset for size in range(at_once + 1) for subset in combinations(losable, size)]
        for subset in [*subsets, tuple(losable)]:
            for damage in product(*(_damages(lost) for lost in subset)):
                state = durable.copy()
                for waiting in pending:
                    harmed = damage[subset.index(waiting)] if waiting in subset else waiting
                    if harmed is not None:
                        state.apply(harmed)
                digest = sha256(repr(sorted(state.tree().items())).encode()).hexdigest()
                name = f"after operation {moment + 1}, {len(subset)} lost"
                yield name, None if digest in seen else state
                seen.add(digest)


def _damages(operation: Operation) -> list[Operation | None]:
    """Return what may be left of an operation: nothing; of bytes also the first half, or as many others."""
    if operation.kind == "name" or not operation.data:
        return [None]
    half = operation.data[: len(operation.data) // 2]
    garbage = sha256(operation.data).digest() * (len(operation.data) // 32 + 1)
    return [
        None,
        Operation("bytes", operation.inode, data=half),
        Operation("bytes", operation.inode, data=garbage[: len(operation.data)]),
    ]


def _staging_inodes(disk: Disk, operations: list[Operation]) -> set[int]:
    """Return the inodes of the folder staging and of the folders in it."""
    names = [operation for operation in operations if operation.kind == "name" and operation.target is not None]
    found = {disk.folders[disk.root]["staging"]} if "staging" in disk.folders[disk.root] else set()
    found |= {name.target for name in names if name.inode == disk.root and name.name == "staging" and name.target}
    return found | {name.target for name in names if name.inode in found and name.target in disk.folders}
