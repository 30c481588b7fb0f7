"""Batches and decoding processes where the configuration says "auto"."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from geotag_batch.config import Config, RunConfig
from geotag_batch.encode.clip import load_encoder
from geotag_batch.encode.encoder import EncoderMemoryError
from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.errors import EncoderError
from geotag_batch.run.capacity import batch_size, decoding_workers, find_batch_size
from tests.encode.conftest import SMALL, random_model


class Card(FakeEncoder):
    """A device that does up to `wide` images in a second, more in proportion, and holds `room`; with its own clock."""

    def __init__(self, wide: int, room: int) -> None:
        super().__init__()
        self.wide, self.room, self.now = wide, room, 0.0
        self.device = "cuda:0"

    def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if len(pixels) > self.room:
            raise EncoderMemoryError("out of memory")
        self.now += max(1.0, len(pixels) / self.wide)
        return np.zeros((len(pixels), self.dim), np.float32)

    def clock(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("wide", "room", "found"),
    [
        (128, 10**6, 128),  # more brings nothing
        (10**6, 300, 256),  # more does not fit
        (10**6, 10**6, 1024),  # nothing stops it but the search itself
        (8, 10**6, 32),
        (10**6, 20, 16),  # not even the least fits
        (10**6, 1, 1),
    ],
)
def test_a_batch_grows_while_it_pays_and_memory_lasts(wide: int, room: int, found: int) -> None:
    card = Card(wide, room)
    assert find_batch_size(card, clock=card.clock) == found


def test_where_not_one_image_fits_the_error_says_so() -> None:
    with pytest.raises(EncoderError, match="memory of cuda:0 does not hold a single image"):
        find_batch_size(Card(1, 0))


def test_the_search_runs_on_a_real_encoder(tmp_path: Path) -> None:
    encoder = load_encoder(random_model(tmp_path, "small", SMALL).encoder(), Path("/"))
    assert find_batch_size(encoder, least=4, most=16) in (4, 8, 16)


def test_a_number_is_taken_as_it_is_and_a_cpu_is_not_searched() -> None:
    assert batch_size(RunConfig(batch_size=7), Card(1, 0)) == 7
    assert batch_size(RunConfig(), FakeEncoder()) == 32
    assert batch_size(RunConfig(), Card(10**6, 20)) == 16
    assert decoding_workers(RunConfig(workers=5), "cuda") == 5


@pytest.mark.parametrize(
    ("cores", "device", "workers"),
    [(1, "cpu", 2), (2, "cpu", 2), (32, "cpu", 8), (1, "cuda", 2), (16, "cuda:1", 15), (16, "mps", 15)],
)
def test_decoding_processes_come_from_the_usable_cores_and_the_device(
    cores: int, device: str, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert decoding_workers(Config().run, device) == workers
