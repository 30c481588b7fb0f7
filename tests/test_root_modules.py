"""The small modules at the root: names, taxonomy, schemas, fingerprints, errors."""

import importlib
import pkgutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import geotag_batch
from geotag_batch import errors
from geotag_batch.duck import connect, quote_identifier, quote_literal
from geotag_batch.fingerprint import named_id, short_hash, tensors_digest
from geotag_batch.schema import CURRENT_VERSION, error_classes, load_schema
from geotag_batch.taxonomy import tag_index, tag_names, tags


def test_every_public_name_exists() -> None:
    for module in pkgutil.walk_packages(geotag_batch.__path__, "geotag_batch."):
        loaded = importlib.import_module(module.name)
        for name in getattr(loaded, "__all__", []):
            assert hasattr(loaded, name), f"{module.name}.{name}"


def test_the_tags_are_49_in_ascending_tag_id() -> None:
    ids = [tag.tag_id for tag in tags()]
    assert len(ids) == 49
    assert ids == sorted(ids)
    assert (tags()[0].tag, tags()[-1].tag) == ("Energy infrastructure", "Barren Plateaux")
    assert tag_index()[tag_names()[17]] == 17


@pytest.mark.parametrize("dataset", sorted(CURRENT_VERSION))
def test_arrow_and_duckdb_agree_on_every_schema(dataset: str, tmp_path: Path) -> None:
    schema = load_schema(dataset)
    pq.write_table(schema.arrow().empty_table(), tmp_path / "empty.parquet")
    described = connect().execute(f"DESCRIBE FROM '{tmp_path}/empty.parquet'").fetchall()
    assert [(row[0], row[1]) for row in described] == [(column.name, column.duckdb_type) for column in schema.columns]
    assert all(column.doc for column in schema.columns)


def test_every_error_class_has_a_stage_and_missing_is_never_permanent() -> None:
    assert {kind.stage for kind in error_classes().values()} == {"image", "encode", "predict"}
    assert not error_classes()["missing"].permanent


def test_every_error_is_in_the_tree_that_its_docstring_draws() -> None:
    for name in errors.__all__:
        kind = getattr(errors, name)
        assert name in (errors.__doc__ or "")
        if issubclass(kind, errors.GeotagError) and kind is not errors.GeotagError:
            line = next(line for line in (errors.__doc__ or "").splitlines() if f" {name} " in line)
            assert f" {kind.exit_code} " in f"{line} "


def test_the_digest_of_weights_ignores_file_order_and_number_format_but_not_names_shapes_or_values() -> None:
    weights: dict[str, NDArray[Any]] = {"b": np.arange(6, dtype=np.float16).reshape(2, 3), "a": np.ones(2, np.float32)}
    digest = tensors_digest(weights)
    assert digest == tensors_digest({"a": np.ones(2, np.float64), "b": weights["b"].astype(np.float32)})
    assert digest != tensors_digest(weights | {"b": weights["b"].reshape(3, 2)})
    assert digest != tensors_digest({"b": weights["b"], "c": weights["a"]})
    assert digest != tensors_digest(weights | {"a": np.zeros(2, np.float32)})


def test_ids_are_safe_for_folders_and_depend_on_facts_not_on_their_order() -> None:
    assert short_hash({"a": 1, "b": 2}) == short_hash({"b": 2, "a": 1})
    assert named_id("my/../head é", {"a": 1}).startswith("my-..-head")
    assert "/" not in named_id("a/b", {})
    assert named_id("..", {}).startswith("unnamed-")


@pytest.mark.parametrize("text", ["plain", "it's", 'a "quoted" name', "a\\b", "ü'; DROP TABLE x; --"])
def test_quoted_text_comes_back_as_it_was(text: str) -> None:
    connection = connect()
    query = f"SELECT {quote_literal(text)} AS {quote_identifier(text)}"
    assert connection.execute(query).fetchall() == [(text,)]
    assert connection.sql(query).columns == [text]


def test_a_column_of_vectors_keeps_its_length() -> None:
    assert load_schema("embeddings").arrow(768).field("image_embedding").type == pa.list_(pa.float16(), 768)


def test_what_a_photo_failure_says_is_text_of_bounded_length() -> None:
    failure = errors.PhotoFailure("fetch_error", "\ud800" + "x" * 5000)
    assert failure.message.startswith("?x")
    assert len(failure.message) == 1000
