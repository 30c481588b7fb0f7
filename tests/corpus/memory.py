"""Too little memory: for a photo's decoder, for a batch of images, for a title."""

from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geotag_batch.config import load_config, set_key
from geotag_batch.encode.encoder import EncoderMemoryError
from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.run import formats
from geotag_batch.run.backfill import Job, run_backfill
from geotag_batch.run.plan import Selection
from geotag_batch.write.runs import RunRecord
from tests.faults.invariants import Tally
from tests.faults.row import Row, row
from tests.faults.trial import Bed, Trial
from tests.read.pictures import encoded

__all__ = ["ShortOfMemory", "memory_faults"]


class ShortOfMemory(FakeEncoder):
    """Has room for so many images and titles at a time, and none for a title of more than 1,000 characters."""

    def __init__(self, images: int, titles: int) -> None:
        """Say how many."""
        super().__init__()
        self.images, self.titles = images, titles

    def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode, if there is room."""
        if len(pixels) > self.images:
            raise EncoderMemoryError("no room for so many images")
        return super().encode_images(pixels)

    def encode_titles(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """Encode, if there is room."""
        if len(titles) > self.titles or any(len(title) > 1000 for title in titles):
            raise EncoderMemoryError("no room for such titles")
        return super().encode_titles(titles)


def memory_faults(bed: Bed) -> Row:
    """Let decoder and encoder run out of memory; each time one photo fails by its class, or the batch halves."""
    with row("memory", "100 megapixels; allocations refused to decoder and encoder") as made:
        for name, change, failures in (
            ("100 megapixels over the limit", _large_photo(50_000_000, 2_000_000_000), {"too_large": 1}),
            ("100 megapixels in too little memory", _large_photo(200_000_000, 150_000_000), {"decode_memory": 1}),
            ("100 megapixels allowed", _large_photo(200_000_000, 2_000_000_000), {}),
        ):
            with bed.trial() as trial:
                change(trial)
                _check(made, name, _run(trial), failures)
        for name, encoder in (
            ("room for three images", ShortOfMemory(3, 9)),
            ("room for one image and one title", ShortOfMemory(1, 1)),
        ):
            with bed.trial() as trial, patch.object(formats, "load_encoder", lambda *_, made=encoder: made):
                record = _run(trial)
                images = record.predicted
                _check(made, name, record, {})
                made.tally.add(trial.inspect(complete=True))
        with bed.trial() as trial, patch.object(formats, "load_encoder", lambda *_: ShortOfMemory(0, 9)):
            _check(made, "room for no image at all", _run(trial), {"out_of_memory": images})
    return made


def _large_photo(pixels: int, memory: int) -> Callable[[Trial], None]:
    def change(trial: Trial) -> None:
        path = Path(trial.workspace.root / "images" / "00000" / "3.jpg")
        path.write_bytes(encoded(Image.new("RGB", (10_000, 10_000), (90, 120, 60)), quality=20))
        set_key(trial.workspace, "images.max_pixels", pixels)
        set_key(trial.workspace, "images.decode_memory", memory)

    return change


def _run(trial: Trial) -> RunRecord:
    return run_backfill(trial.workspace, load_config(trial.workspace, {}), Job("backfill", Selection()))


def _check(made: Row, name: str, record: RunRecord, failures: dict[str, int]) -> None:
    found = {kind: count for kind, count in record.failures.items() if kind not in ("empty", "missing")}
    tally = Tally()
    tally.expect(found == failures, f"{found} in place of {failures}")
    tally.expect(record.exit_code == 0, f"ended with {record.exit_code}")
    made.case(tally, name)
