"""Every error that geotag-batch raises on purpose, in one tree.

::

    GeotagError                      70  a bug of ours, unless a subclass says otherwise
    ├── UsageError                    2  the command line does not make sense
    ├── ConfigError                   3  geotag.toml, an environment variable or the workspace
    │   └── ClusterError              3  the Ray cluster cannot be reached, or does not hold its workers
    ├── InputError                    4  what was to be read is missing or is not what it should be
    │   ├── CatalogueError            4  the photos' Parquet
    │   ├── ImageRootError            4  the images' folder or server does not answer
    │   ├── StorageError              4  the workspace's disk: full, read-only, a broken committed file
    │   ├── StoreError                4  the object store: refuses, does not answer, or not with what was asked for
    │   └── DecisionConflictError     4  another reviewer has decided on the photo meanwhile
    ├── ModelError                    5  encoder weights, heads
    │   ├── EncoderError              5
    │   └── HeadError                 5
    ├── FailureBudgetError            6  too many photos fail at the first attempt
    ├── VerifyError                   1  `geotag verify` found something
    └── LockedError                  75  another command is writing to the workspace
    PhotoFailure                         one photo cannot be used; becomes a row in failures/, never an exit

Exit code 0 is success (also "the time window is over"); a run stopped by signal *n* exits with 128 + *n*.
Each message says what is wrong and where; `hint` says the next thing to try.
"""

from typing import ClassVar

__all__ = [
    "CatalogueError",
    "ClusterError",
    "ConfigError",
    "DecisionConflictError",
    "EncoderError",
    "FailureBudgetError",
    "GeotagError",
    "HeadError",
    "ImageRootError",
    "InputError",
    "LockedError",
    "ModelError",
    "PhotoFailure",
    "StorageError",
    "StoreError",
    "UsageError",
    "VerifyError",
]


class GeotagError(Exception):
    """Base of all errors that the command line turns into a message and an exit code."""

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Keep what is wrong and where (`message`) apart from what to try next (`hint`)."""
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(GeotagError):
    """The command line does not make sense."""

    exit_code = 2


class ConfigError(GeotagError):
    """geotag.toml, a GEOTAG_* variable or the workspace folder is wrong."""

    exit_code = 3


class ClusterError(ConfigError):
    """The Ray cluster cannot be reached, has no room for a worker, or loses them again and again."""


class InputError(GeotagError):
    """Something to be read is missing or is not what it should be."""

    exit_code = 4


class CatalogueError(InputError):
    """The photos' Parquet is missing or does not have the schema it should."""


class ImageRootError(InputError):
    """The images' folder or server as a whole does not answer."""


class StorageError(InputError):
    """The workspace's disk is full or read-only, or a committed file is broken."""


class StoreError(InputError):
    """The object store refuses, does not answer, or answers with other than was asked for; says nothing of the data.

    That is why it is no StorageError: what a store does not give just now is not broken.
    """


class DecisionConflictError(InputError):
    """Another reviewer has decided on a photo since it was looked at; nothing was written.

    `gridimage_id` and `reviewer` are the photo and who decided on it, `decision_id` the newest word on it.
    """

    def __init__(self, gridimage_id: int, reviewer: str, decision_id: str) -> None:
        """Say who was faster."""
        super().__init__(
            f"{reviewer} has decided on photo {gridimage_id} meanwhile; nothing was written",
            hint="look at the photo again, as it is decided now, then decide",
        )
        self.gridimage_id = gridimage_id
        self.reviewer = reviewer
        self.decision_id = decision_id


class ModelError(GeotagError):
    """Encoder weights or a head cannot be used."""

    exit_code = 5


class EncoderError(ModelError):
    """The encoder cannot be loaded, or is not the one that the head was trained on."""


class HeadError(ModelError):
    """A head is missing, broken or of another shape than it should be."""


class FailureBudgetError(GeotagError):
    """Too many photos failed at their first attempt; the chunk was not committed."""

    exit_code = 6


class VerifyError(GeotagError):
    """`geotag verify` found something wrong."""

    exit_code = 1


class LockedError(GeotagError):
    """Another command holds the workspace's lock."""

    exit_code = 75


_LONGEST_MESSAGE = 1000


class PhotoFailure(Exception):
    """One photo cannot be used.

    `error_class` is one of the classes in schemas/failures.v1.json, which also says whether the class is
    permanent. `image_signature` is that of the image looked at, where there was one.
    """

    def __init__(self, error_class: str, message: str, *, image_signature: str | None = None) -> None:
        """Name the class and say in words what was seen."""
        super().__init__(error_class, message)
        self.error_class = error_class
        self.message = message[:_LONGEST_MESSAGE].encode(errors="replace").decode()  # what was seen may be hostile
        self.image_signature = image_signature

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way back from a worker process with all attributes."""
        return (_rebuild_photo_failure, (self.error_class, self.message, self.image_signature))


def _rebuild_photo_failure(error_class: str, message: str, image_signature: str | None) -> PhotoFailure:
    return PhotoFailure(error_class, message, image_signature=image_signature)
