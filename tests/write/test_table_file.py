"""JSON lines put together from whole columns are what Python's own json and base64 make of each row."""

import base64
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geotag_batch.write.table_file import json_lines, text_of

text = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
number = st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), text, number), max_size=20))
def test_each_line_is_the_row(rows: list[tuple[int, Any, Any]]) -> None:
    schema = pa.schema([("id", pa.int64()), ("some text", pa.string()), ("score", pa.float32())])
    batch = pa.RecordBatch.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema)
    lines = bytes(text_of(json_lines(batch))).decode().split("\n")[:-1]
    found = [json.loads(line) for line in lines]
    scores = [score if score is None else float(np.float32(score)) for *_, score in map(dict.values, found)]
    assert [(*list(line.values())[:2], score) for line, score in zip(found, scores, strict=True)] == rows
    assert all(list(line) == schema.names for line in found)
    later = json_lines(batch.slice(1))
    assert bytes(text_of(later)).decode().split("\n")[:-1] == lines[1:]


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 2048])
def test_bytes_are_base64_as_the_standard_has_it(width: int) -> None:
    raw = np.random.default_rng(width).integers(0, 256, (7, width), np.uint8)
    column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), 7, [None, pa.py_buffer(raw)])
    for part, rows in ((column, raw), (column.slice(2, 3), raw[2:5])):
        lines = bytes(text_of(json_lines(pa.record_batch({"vector": part})))).decode().splitlines()
        assert lines == [f'{{"vector":"{base64.b64encode(row.tobytes()).decode()}"}}' for row in rows]
