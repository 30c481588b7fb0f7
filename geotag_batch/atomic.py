"""The only place that publishes a file: stage, fsync, rename, fsync the folder.

A reader of the final name sees the whole old file or the whole new one. Neither pyarrow nor DuckDB calls fsync,
so the staged file is opened again and synced here. A failed fsync is never repeated on the same file: the kernel
may have dropped the dirty pages already, so the file is abandoned and its maker starts again.

In an object store a file is published by one PUT of the whole object, which needs no rename and no fsync: under
If-None-Match where nothing may be replaced, and after the lease of whoever writes there has been renewed (lease.py).
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from geotag_batch.errors import StorageError
from geotag_batch.locations import StorePath

__all__ = [
    "fsync_folder",
    "make_folder",
    "move_away",
    "publish",
    "publish_elsewhere",
    "publish_folder",
    "remove_committed",
    "remove_together",
    "write_bytes",
    "write_elsewhere",
]


def publish(write: Callable[[Path], object], final: Path, staging: Path, *, replace: bool = False) -> None:
    """Let `write` make a file in `staging`, then make it visible at `final` in one step.

    `staging` must be in the same file system as `final`. Unless `replace`, an existing `final` is an error:
    committed data is never overwritten. Raises StorageError with the operating system's reason; nothing is
    visible then, and the staged file is gone. One case is otherwise: if the folder cannot be synced after the rename,
    the whole new file is visible, for readers may have seen it already, and a power cut may take it back.

    Where `final` is in an object store, StoreError says that the store did not take it, or not surely, and LockedError
    that this process may not write there any more.
    """
    if isinstance(final, StorePath):
        _publish_object(write, final, staging, replace=replace)
        return
    staged = staging / f"{final.name}.staged"
    try:
        make_folder(staging)
        make_folder(final.parent)
        try:
            write(staged)
            _fsync_file(staged)
            if not replace and final.exists():  # no race: writers hold the workspace's lock
                raise FileExistsError(final)
            os.replace(staged, final)
        except BaseException:
            staged.unlink(missing_ok=True)
            raise
        fsync_folder(final.parent)
    except FileExistsError as error:
        raise StorageError(f"{final} exists already and is not overwritten", hint="run `geotag verify`") from error
    except OSError as error:
        raise StorageError(
            f"cannot write {final}: {error.strerror or error}",
            hint="free space or mend permissions, then start again: what is committed stays valid",
        ) from error


def _publish_object(write: Callable[[Path], object], final: StorePath, staging: Path, *, replace: bool) -> None:
    staged = staging / f"{final.name}.staged"
    try:
        staging.mkdir(parents=True, exist_ok=True)
        try:
            write(staged)
            data = staged.read_bytes()
        finally:
            staged.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot write {staged}: {error.strerror or error}", hint="free space on that disk, then start again"
        ) from error
    _confirm_lease(final)
    try:
        if replace:
            final.store.put(final.key, data)
        else:
            final.store.put_new(final.key, data)
    except FileExistsError as error:
        _confirm_lease(final)  # who has lost it finds its names occupied
        raise StorageError(f"{final} exists already and is not overwritten", hint="run `geotag verify`") from error


def _confirm_lease(path: StorePath) -> None:
    from geotag_batch.lease import guard_of  # noqa: PLC0415  nothing that a folder needs

    lease = guard_of(path)
    if lease is not None:
        lease.confirm()


def write_bytes(data: bytes, final: Path, staging: Path, *, replace: bool = False) -> None:
    """Publish `data` as the file `final`."""
    publish(lambda path: path.write_bytes(data), final, staging, replace=replace)


def publish_folder(write: Callable[[Path], object], final: Path, staging: Path) -> None:
    """Let `write` fill a folder in `staging`, then make it visible at `final` in one step, with all that is in it.

    As `publish`; `final` must not be there yet.
    """
    staged = staging / f"{final.name}.staged"
    try:
        make_folder(staging)
        make_folder(final.parent)
        try:
            shutil.rmtree(staged, ignore_errors=True)  # left by a killed command
            staged.mkdir()
            write(staged)
            for path in staged.rglob("*"):
                (fsync_folder if path.is_dir() else _fsync_file)(path)
            fsync_folder(staged)
            os.rename(staged, final)
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise
        fsync_folder(final.parent)
    except OSError as error:
        raise StorageError(
            f"cannot write {final}: {error.strerror or error}", hint="free space or mend permissions, then start again"
        ) from error


def write_elsewhere(data: bytes, final: Path) -> None:
    """Publish `data` as a file outside the workspace, staged beside it, in place of what is there."""
    publish_elsewhere(lambda path: path.write_bytes(data), final)


def publish_elsewhere(write: Callable[[Path], object], final: Path) -> None:
    """Let `write` make a file outside the workspace, staged beside it, and put it in place of what is there.

    As `publish`. No lock keeps two commands from writing the same file there, so each stages in a folder of its own. A
    link is followed, so that it goes on to name the file. Raises StorageError, too, for what is no file, such as a pipe
    or /dev/null: root would have put a file in its place, for all who use it.
    """
    final = Path(os.path.realpath(final))
    if final.exists() and not final.is_file():
        raise StorageError(
            f"cannot write {final}: it is there, and no file",
            hint="name a file; - is standard output, where a command knows it",
        )
    staging = final.parent / f".{final.name}.{os.getpid()}.staging"
    try:
        publish(write, final, staging, replace=True)
    finally:
        with contextlib.suppress(OSError):  # it could not be made
            staging.rmdir()


_durable: set[Path] = set()
"""Folders that this process knows to be durable in their parents."""


def make_folder(folder: Path) -> None:
    """Create `folder` and its missing parents, each made durable in its parent.

    One that is there already may have been made by a command that was killed before it could sync it. So it is synced
    too, once in a process; its parents are durable, or it would not have been made.
    """
    if folder.is_dir():
        if folder not in _durable:
            with contextlib.suppress(PermissionError):  # then none of our commands has made it
                fsync_folder(folder.parent)
    else:
        make_folder(folder.parent)
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
        fsync_folder(folder.parent)
    _durable.add(folder)


def remove_committed(path: Path) -> None:
    """Remove a committed file durably; one that is gone already is no error. Raises StorageError, StoreError."""
    if isinstance(path, StorePath):
        _confirm_lease(path)
        path.store.delete(path.key)
        return
    try:
        path.unlink()
        fsync_folder(path.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(
            f"cannot remove {path}: {error.strerror or error}", hint="mend permissions or the disk, then start again"
        ) from error


def remove_together(paths: Sequence[Path]) -> None:
    """Remove committed files of one folder as close together as can be, and then make it durable; otherwise as one."""
    try:
        for path in paths:
            path.unlink(missing_ok=True)
        if paths:
            fsync_folder(paths[0].parent)
    except OSError as error:
        raise StorageError(
            f"cannot remove {paths[0]} and others: {error.strerror or error}",
            hint="mend permissions or the disk, then start again",
        ) from error


def move_away(path: Path, final: Path) -> None:
    """Move a file or folder to `final`, in the same file system, in one step that is durable in both folders.

    What is gone already is no error. Raises StorageError if `final` exists or the system refuses. In an object store
    it is copied first, object by object, then removed; a move that was killed is finished by doing it again.
    """
    if isinstance(path, StorePath) and isinstance(final, StorePath):
        _move_objects(path, final)
        return
    try:
        make_folder(final.parent)
        if os.path.lexists(final):  # no race: the workspace's lock is held
            raise FileExistsError(final)
        os.rename(path, final)
        fsync_folder(final.parent)  # first, so that no crash leaves it in neither
        fsync_folder(path.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(
            f"cannot move {path} to {final}: {error.strerror or error}",
            hint="mend permissions, or move it by hand, then start again",
        ) from error


def _move_objects(path: StorePath, final: StorePath) -> None:
    names = [path.key] if path.is_file() else [each.key for each in path.rglob("*") if isinstance(each, StorePath)]
    for name in names:
        _confirm_lease(final)
        target = f"{final.key}{name.removeprefix(path.key)}"
        try:
            final.store.put_new(target, path.store.read(name).data)
        except FileExistsError as error:
            raise StorageError(
                f"cannot move {path} to {final}: that is there already", hint="move it by hand"
            ) from error
        path.store.delete(name)


def fsync_folder(folder: Path) -> None:
    """Make the folder's entries durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
