"""Running out of memory, in the words of each engine."""

import pytest

from geotag_batch.encode.encoder import EncoderMemoryError
from geotag_batch.encode.memory import memory_errors


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("Exception from src/inference/src/cpp/infer_request.cpp:223: std::bad_alloc"),
    ],
    ids=lambda error: str(error)[:30],
)
def test_a_shortage_of_memory_is_one_error(error: Exception) -> None:
    with pytest.raises(EncoderMemoryError), memory_errors():
        raise error


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="cannot be multiplied"), memory_errors():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
