"""What the engines raise when memory is short, as one error."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from geotag_batch.encode.encoder import EncoderMemoryError

__all__ = ["memory_errors"]

_WORDS = (
    "not enough memory",
    "can't allocate memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "bad allocation",
    "bad_alloc",
)
"""torch on a CPU and OpenVINO raise a bare RuntimeError; so does CUDA where its libraries allocate for themselves."""


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise EncoderMemoryError where the block ran out of memory; on CUDA what torch had kept for itself is freed."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise _given_back(error) from error
    except RuntimeError as error:
        if not any(words in str(error) for words in _WORDS):
            raise
        raise _given_back(error) from error


def _given_back(error: Exception) -> EncoderMemoryError:
    if torch.cuda.is_available():  # pieces kept for the large batch do not fit the smaller one that follows
        torch.cuda.empty_cache()
    return EncoderMemoryError(str(error))
