"""Committing a chunk: what a plain DuckDB reads back."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geotag_batch.duck import dataset_relation
from geotag_batch.errors import StorageError
from geotag_batch.schema import load_schema
from geotag_batch.workspace import Workspace
from geotag_batch.write.dataset import ChunkName, ChunkTables, commit_chunk, read_file_metadata, stored_weights
from tests.builders import ENCODER, HEAD, RUN_1, RUN_2, commit, query


def test_a_chunk_is_one_file_a_dataset_under_its_partition(workspace: Workspace) -> None:
    commit(workspace, RUN_1, embeddings=[{"gridimage_id": 1}], predictions=[{"gridimage_id": 1}])
    commit(workspace, RUN_1, failures=[{"gridimage_id": 2}], number=2)
    files = {str(path.relative_to(workspace.root)) for path in workspace.root.rglob("*.parquet")}
    assert files == {
        f"embeddings/encoder={ENCODER}/{RUN_1}-000001.parquet",
        f"predictions/head={HEAD}/run_date=2026-01-01/{RUN_1}-000001.parquet",
        f"failures/run_date=2026-01-01/{RUN_1}-000002.parquet",
    }


def test_duckdb_reads_ids_tags_scores_and_partitions(workspace: Workspace) -> None:
    commit(workspace, RUN_1, predictions=[{"gridimage_id": 2**60 + 1}])
    glob = f"{workspace.root}/predictions/head=*/run_date=*/*.parquet"
    row = query(f"SELECT gridimage_id, tags, len(scores), head, run_date::VARCHAR FROM read_parquet('{glob}')")
    assert row == [(2**60 + 1, ["Energy infrastructure"], 49, HEAD, "2026-01-01")]


def test_a_file_says_what_made_it(workspace: Workspace) -> None:
    commit(workspace, RUN_1, embeddings=[{"gridimage_id": 1}])
    facts = read_file_metadata(workspace.embeddings_file(ENCODER, RUN_1, 1))
    assert facts["dataset"] == "embeddings"
    assert facts["schema_version"] == "1"
    assert facts["run_id"] == RUN_1
    assert facts["encoder_id"] == ENCODER
    assert '"torch"' in facts["software"]


def test_a_flipped_byte_is_found_by_the_page_checksums(workspace: Workspace) -> None:
    commit(workspace, RUN_1, embeddings=[{"gridimage_id": number} for number in range(100)])
    path = workspace.embeddings_file(ENCODER, RUN_1, 1)
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    with pytest.raises((OSError, pa.ArrowException)):
        pq.ParquetFile(path, page_checksum_verification=True).read()


def test_a_table_of_another_schema_is_refused_and_nothing_is_visible(workspace: Workspace) -> None:
    empty = load_schema("failures").arrow().empty_table()
    wrong = pa.table({"gridimage_id": [1]})
    name = ChunkName(RUN_1, 1, ENCODER, HEAD, "policy", None)
    with pytest.raises(StorageError, match=r"has columns \['gridimage_id'\], should have"):
        commit_chunk(workspace, name, ChunkTables(load_schema("embeddings").arrow().empty_table(), empty, wrong, 512))
    assert not list(workspace.root.rglob("*.parquet"))


def test_the_weights_of_the_newest_embeddings_are_known(workspace: Workspace) -> None:
    assert stored_weights(workspace, ENCODER) is None
    commit(workspace, RUN_1, embeddings=[{"gridimage_id": 1}])
    commit(workspace, RUN_2, embeddings=[{"gridimage_id": 1}])
    assert stored_weights(workspace, ENCODER) == "0" * 64


@pytest.mark.parametrize("dataset", ["embeddings", "predictions", "failures"])
def test_a_dataset_without_files_is_an_empty_relation_of_the_same_columns(workspace: Workspace, dataset: str) -> None:
    before = query(f"DESCRIBE FROM {dataset_relation(workspace, dataset, filename=True)}")
    assert query(f"FROM {dataset_relation(workspace, dataset)}") == []
    row = [{"gridimage_id": 1}]
    commit(workspace, RUN_1, embeddings=row, predictions=row, failures=row)
    assert query(f"DESCRIBE FROM {dataset_relation(workspace, dataset, filename=True)}") == before
    assert len(query(f"FROM {dataset_relation(workspace, dataset)}")) == 1


def test_debris_beside_committed_files_is_not_read(workspace: Workspace) -> None:
    commit(workspace, RUN_1, failures=[{"gridimage_id": 1}])
    folder = workspace.failures / "run_date=2026-01-01"
    for name in (
        f"tmp_{RUN_1}-000001.parquet",
        f".{RUN_1}-000002.parquet",
        "notes.parquet",
        f"{RUN_1}-3.parquet~",
    ):
        (folder / name).write_bytes(b"")
    assert len(query(f"FROM {dataset_relation(workspace, 'failures')}")) == 1
