"""Making a workspace."""

from pathlib import Path

from geotag_batch.atomic import make_folder, write_bytes
from geotag_batch.config import default_toml
from geotag_batch.errors import ConfigError
from geotag_batch.locations import location
from geotag_batch.workspace import Workspace

__all__ = ["init_workspace"]


def init_workspace(folder: str | Path) -> Workspace:
    """Make `folder`, or the prefix that an object store's URL names, a workspace and return it.

    Raises ConfigError if it is one already or cannot be made, StoreError.
    """
    workspace = Workspace(location(folder).expanduser().resolve())
    if workspace.config_file.exists():
        raise ConfigError(
            f"{workspace.config_file} exists already and is left as it is", hint="edit it, or name another folder"
        )
    try:
        for path in (workspace.root, workspace.root / "photos", workspace.root / "images"):
            if not workspace.in_store:  # which has no folders
                make_folder(path)
    except OSError as error:
        raise ConfigError(f"cannot make {workspace.root}: {error.strerror or error}") from error
    write_bytes(default_toml().encode(), workspace.config_file, workspace.staging)
    return workspace
