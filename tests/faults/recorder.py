"""Writes down what changes in a workspace, by inode: a line of JSON for each name, each file's bytes, each sync."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Recorder"]

_LEFT_OUT = "images"  # the archive's own, and large


class Recorder:
    """Compares the tree below `root` with what it was when it last looked; safe from any thread, and from itself."""

    def __init__(self, log: Path, root: Path) -> None:
        """Write down the tree as it is; what comes after the line `start` is what is done to it."""
        self._root = root
        self._log = log.open("w", encoding="utf-8")
        self._names: dict[int, dict[str, int]] = {}
        self._stamps: dict[int, tuple[int, int]] = {}
        self._held: set[int] = set()
        self.turn = threading.RLock()
        self._looking = False
        self._write("folder", root.stat().st_ino)
        self.look()
        self._write("start", 0)

    def look(self) -> None:
        """Write down what has changed: bytes first, then new names, then names that are gone."""
        with self.turn:
            if self._looking:  # looking announces steps of its own
                return
            self._looking = True
            try:
                names: dict[int, dict[str, int]] = {}
                self._walk(self._root, self._root.stat().st_ino, names)
                self._compare(names)
                self._log.flush()
            finally:
                self._looking = False

    def in_turn(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Return `step` as it is done when nobody looks."""

        def alone(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            with self.turn:
                return step(*arguments, **options)

        return alone

    def synced(self, inode: int) -> None:
        """Write down that a file, or a folder, was synced."""
        with self.turn:
            self._write("sync", inode)

    def _walk(self, folder: Path, inode: int, names: dict[int, dict[str, int]]) -> None:
        found = names.setdefault(inode, {})
        try:
            entries = list(os.scandir(folder))
        except FileNotFoundError:  # removed meanwhile by another thread
            return
        for entry in entries:
            if folder == self._root and entry.name == _LEFT_OUT:
                continue
            try:
                status = entry.stat(follow_symlinks=False)
                found[entry.name] = status.st_ino
                self._hold(entry.path, status.st_ino)
                if entry.is_dir(follow_symlinks=False):
                    if status.st_ino not in self._names and status.st_ino not in names:
                        self._write("folder", status.st_ino)
                    self._walk(Path(entry.path), status.st_ino, names)
                elif self._stamps.get(status.st_ino) != (stamp := (status.st_mtime_ns, status.st_size)):
                    self._stamps[status.st_ino] = stamp
                    self._write("bytes", status.st_ino, data=Path(entry.path).read_bytes().hex())
            except FileNotFoundError:
                found.pop(entry.name, None)

    def _hold(self, path: str, inode: int) -> None:
        """Keep what was seen open to the end: the number of what is gone must not be another file's, or folder's."""
        if inode not in self._held:
            os.open(path, os.O_PATH | os.O_NOFOLLOW)
            self._held.add(inode)

    def _compare(self, names: dict[int, dict[str, int]]) -> None:
        for inode, now in names.items():
            before = self._names.get(inode, {})
            for name, target in now.items():
                if before.get(name) != target:
                    self._write("name", inode, name=name, target=target)
        for inode, before in self._names.items():
            for name in before.keys() - names.get(inode, {}).keys():
                self._write("name", inode, name=name, target=None)
        self._names = names

    def _write(self, kind: str, inode: int, **more: object) -> None:
        self._log.write(json.dumps({"kind": kind, "inode": inode, **more}) + "\n")
