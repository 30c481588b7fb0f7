"""The nearest vectors, against a plain answer: all cosines in float64, all sorted."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from geotag_batch.predict.nearest import Nearest

Found = list[tuple[int, float]]


def plain(query: NDArray[Any], ids: NDArray[np.int64], vectors: NDArray[np.float16], limit: int) -> Found:
    """Return ids and cosines to float32, the greatest first, equals by id; vectors without direction left out."""
    exact, asked = vectors.astype(np.float64), query.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = exact @ asked / np.sqrt(np.einsum("ij,ij->i", exact, exact)) / np.sqrt(asked @ asked)
    rows = [(photo, float(np.float32(cosine))) for photo, cosine in zip(ids.tolist(), cosines, strict=True)]
    return sorted((row for row in rows if np.isfinite(row[1])), key=lambda row: (-row[1], row[0]))[:limit]


def found(
    query: NDArray[Any], ids: NDArray[np.int64], vectors: NDArray[np.float16], limit: int, batch: int = 700
) -> Found:
    nearest = Nearest(query.astype(np.float32), limit)
    for start in range(0, len(ids), batch):
        nearest.offer(ids[start : start + batch], vectors[start : start + batch])
    photos, similarities = nearest.found()
    assert similarities.dtype == np.float32
    return list(zip(photos.tolist(), similarities.tolist(), strict=True))


@pytest.mark.parametrize("limit", [1, 20, 5000])
@pytest.mark.parametrize("dim", [8, 512])
def test_the_nearest_are_those_of_a_plain_answer_in_its_order(dim: int, limit: int) -> None:
    chance = np.random.default_rng(dim + limit)
    ids = chance.permutation(3000).astype(np.int64)
    vectors = (chance.standard_normal((3000, dim)) + 0.5).astype(np.float16)
    query = chance.standard_normal(dim).astype(np.float32)
    assert found(query, ids, vectors, limit) == plain(query, ids, vectors, limit)


def test_the_same_vector_has_the_same_similarity_wherever_it_comes_and_equals_come_by_id() -> None:
    chance = np.random.default_rng(1)
    few = chance.standard_normal((5, 512)).astype(np.float16)
    ids = chance.permutation(4000).astype(np.int64)
    vectors = few[chance.integers(0, 5, 4000)]
    query = few[2].astype(np.float32)
    answer = found(query, ids, vectors, 2000, batch=333)
    assert answer == plain(query, ids, vectors, 2000)
    assert len({similarity for _, similarity in answer}) <= 5
    first = [photo for photo, similarity in answer if similarity == 1.0]
    assert first == sorted(ids[(vectors == few[2]).all(axis=1)].tolist())


def test_a_vector_of_zeros_or_with_a_value_that_is_not_finite_is_never_found() -> None:
    vectors = np.ones((6, 16), np.float16)
    vectors[0] = 0
    vectors[1, 3], vectors[2, 3], vectors[3, 3] = np.nan, np.inf, -np.inf
    ids = np.arange(10, 16)
    assert found(np.ones(16), ids, vectors, 6) == [(14, 1.0), (15, 1.0)]
    assert found(np.ones(16), ids[:4], vectors[:4], 6) == []


def test_every_finite_float16_counts_as_what_it_is() -> None:
    values = np.arange(65536, dtype=np.uint16).view(np.float16)
    values = values[np.isfinite(values)]
    ids = np.arange(len(values))
    for other in (1.0, 6e-8, 65504.0):
        vectors = np.column_stack([values, np.full(len(values), other, np.float16)])
        for query in (np.array([0.6, 0.8]), np.array([-1.0, 1e-3])):
            assert found(query, ids, vectors, 50) == plain(query.astype(np.float32), ids, vectors, 50)


def test_a_photo_that_a_file_has_twice_is_found_once_and_the_one_asked_for_never() -> None:
    nearest = Nearest(np.array([1.0, 0.0], np.float32), 3, but=7)
    vectors = np.array([[1, 0], [1, 1], [1, 0], [2, 1], [1, 3]], np.float16)
    nearest.offer(np.array([7, 8, 8, 9, 10]), vectors)
    assert nearest.found()[0].tolist() == [8, 9, 10]


@pytest.mark.parametrize("query", [np.zeros(4), np.array([1, np.nan, 0, 0]), np.array([np.inf, 0, 0, 0])])
def test_a_query_without_direction_is_refused(query: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="no direction"):
        Nearest(query.astype(np.float32), 5)
