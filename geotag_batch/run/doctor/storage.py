"""The doctor's look at the disk below a workspace: room, kind of file system, and a trial of what commits rely on."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from geotag_batch.atomic import publish, write_bytes
from geotag_batch.errors import LockedError, StorageError
from geotag_batch.locks import hold_file
from geotag_batch.run.doctor.check import Check, ok, problem, warning
from geotag_batch.workspace import Workspace

__all__ = ["examine_disk", "examine_file_system"]

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = (
    "nfs",
    "cifs",
    "smb",
    "ceph",
    "gluster",
    "lustre",
    "9p",
    "afs",
    "gpfs",
    "fuse.sshfs",
    "fuse.rclone",
    "fuse.s3fs",
)
_VOLATILE = ("tmpfs", "ramfs", "overlay")
_CODE = StorageError.exit_code
_LITTLE, _NONE = 5e9, 100e6  # bytes free: from 2.6 kB a photo, two million and none


def examine_disk(workspace: Workspace) -> Iterator[Check]:
    """Look at what is free on the workspace's disk."""
    usage, inodes = shutil.disk_usage(workspace.root), os.statvfs(workspace.root)
    seen = f"{usage.free / 1e6:,.0f} of {usage.total / 1e6:,.0f} MB free"
    to_do = "free space, or `geotag prune` what is not needed; `geotag plan` says what the next run takes"
    if usage.free < _NONE:
        yield problem("disk", seen, to_do, _CODE)
    elif usage.free < _LITTLE:
        yield warning("disk", seen, to_do)
    elif inodes.f_files and inodes.f_favail < 10_000:
        yield warning("disk", f"{seen}, but only {inodes.f_favail:,} files more", "remove small files on that disk")
    else:
        yield ok("disk", seen)


def examine_file_system(workspace: Workspace) -> Iterator[Check]:
    """Look at the kind of file system, whether all folders lie on it, and try what commits rely on."""
    name = "file system"
    kind = _kind(workspace.root)
    elsewhere = _elsewhere(workspace)
    if elsewhere:
        seen = f"{', '.join(elsewhere)} lie on another file system than {workspace.root}"
        yield problem(name, seen, "move them: no rename makes a file visible across file systems", _CODE)
    _try_commit(workspace.root / f".doctor-{os.getpid()}")
    seen = f"{kind}: files, renames, syncs and locks work"
    if kind.startswith(_NETWORK):
        to_do = (
            "run geotag on one machine only: not every network file system keeps a lock between machines, or a "
            "rename through a server's crash; a local disk is safer and faster"
        )
        yield warning(name, f"{seen}, but it is a network file system", to_do)
    elif kind in _VOLATILE:
        yield warning(name, f"{seen}, but what is here may go with a restart", "move the workspace to a disk")
    elif not elsewhere:
        yield ok(name, seen)


def _try_commit(mine: Path) -> None:
    """Publish, replace and lock a small file as a run does, in a folder of its own that goes again.

    Raises StorageError.
    """
    staging, final, lock = mine / "staging", mine / "trial", mine / "trial.lock"
    try:
        publish(lambda path: path.write_bytes(b"first"), final, staging)
        write_bytes(b"second", final, staging, replace=True)
        if final.read_bytes() != b"second":
            raise StorageError(f"{final} is not what was written", hint="look at the disk")
        _try_lock(lock)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{mine}: {reason}", hint="let this user write there, or mend the disk") from error
    finally:
        shutil.rmtree(mine, ignore_errors=True)


def _try_lock(path: Path) -> None:
    """Raise StorageError unless a held lock keeps a second holder out."""
    busy = LockedError("held")
    with hold_file(path, 0, busy):
        try:
            with hold_file(path, 0, busy):
                pass
        except LockedError:
            return
    raise StorageError(f"{path}: two could hold the lock at once", hint="move the workspace to a local disk")


def _elsewhere(workspace: Workspace) -> list[str]:
    device = workspace.root.stat().st_dev
    folders = (
        workspace.embeddings,
        workspace.predictions,
        workspace.failures,
        workspace.decisions,
        workspace.runs,
        workspace.sums,
        workspace.heads,
        workspace.staging,
        workspace.quarantine,
    )
    return [f"{folder.name}/" for folder in folders if folder.exists() and folder.stat().st_dev != device]


def _kind(path: Path) -> str:
    """Return the kind of file system that `path` lies on, as the kernel calls it; "unknown" elsewhere than on Linux."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return "unknown"
    best, kind = -1, "unknown"
    for line in lines:
        fields, _, rest = line.partition(" - ")
        point = fields.split()[4].encode("utf-8", "surrogateescape").decode("unicode_escape", "replace")
        if path.is_relative_to(point) and len(point) >= best:  # of two on one point, the later hides the earlier
            best, kind = len(point), rest.split()[0]
    return kind
