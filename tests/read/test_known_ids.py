"""Which photos the catalogue has, by bits, as sets have it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from geotag_batch.read.known_ids import KnownIds

ids = st.lists(st.integers(0, 500) | st.integers(0, 2**62), unique=True)


def known(catalogue: list[int]) -> KnownIds:
    bits: dict[int, int] = {}
    for photo in catalogue:
        bits[photo >> 6] = bits.get(photo >> 6, 0) | 1 << (photo & 63)
    blocks = sorted(bits)
    return KnownIds(np.array(blocks, np.int64), np.array([bits[block] for block in blocks], np.uint64))


@settings(max_examples=40)
@given(ids, ids, st.lists(st.booleans(), min_size=1))
def test_ids_are_known_and_taken_once_a_kind(catalogue: list[int], asked: list[int], kinds: list[bool]) -> None:
    photos = known(catalogue)
    every = np.array(asked + catalogue + catalogue, np.int64)
    assert photos.knows(every).tolist() == [photo in set(catalogue) for photo in every.tolist()]
    mine = every[photos.knows(every)]
    kind = np.resize(np.array(kinds), len(mine))
    seen: set[tuple[int, bool]] = set()
    expected = []
    for pair in zip(mine.tolist(), kind.tolist(), strict=True):
        expected.append(pair not in seen)
        seen.add(pair)
    half = len(mine) // 2
    taken = [*photos.take(mine[:half], kind[:half]), *photos.take(mine[half:], kind[half:])]
    assert taken == expected
    blocks, bits = photos.seen_blocks()
    pairs = zip(blocks.tolist(), bits.tolist(), strict=True)
    marked = {block * 64 + place for block, each in pairs for place in range(64) if each >> place & 1}
    assert marked == {photo for photo, _ in seen}


@settings(max_examples=40)
@given(ids, st.integers(1, 70))
def test_ranges_hold_up_to_so_many_photos_each_and_every_id_is_in_one(catalogue: list[int], photos: int) -> None:
    starts = known(catalogue).ranges(photos)
    assert starts[0] == 0
    assert (np.diff(starts) > 0).all()
    place = np.searchsorted(starts, np.array(sorted(catalogue), np.int64), "right") - 1
    counts = np.bincount(place, minlength=len(starts))
    assert counts[:-1].tolist() == [photos] * (len(starts) - 1)
    assert counts[-1] <= photos
