"""The job over a bucket that holds catalogue, images and the whole workspace."""

import hashlib
import io
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from geotag_batch.catalogue import catalogue_files
from geotag_batch.config import set_key
from geotag_batch.duck import connect
from geotag_batch.errors import GeotagError, StoreError
from geotag_batch.locations import location
from geotag_batch.read.sources import open_source
from geotag_batch.run.plan import Selection, make_plan
from geotag_batch.run.query import query
from geotag_batch.run.repair import repair
from geotag_batch.run.status import get_status
from geotag_batch.run.verify import verify
from geotag_batch.store import open_store
from geotag_batch.workspace import Workspace
from geotag_batch.write.views import rebuild_views
from jobs.cli import cli
from tests.data import commit_run, prediction
from tests.run.conftest import Archive
from tests.stores.archive import Stored
from tests.stores.proxy import proxied
from tests.stores.server import SECRET, Server

_ROWS = (
    "SELECT gridimage_id, tags, scores, top_tag, forced, title_hash, latitude FROM predictions_all "
    "ORDER BY gridimage_id"
)


def test_a_run_over_a_bucket_predicts_what_a_run_over_a_folder_does(
    archive: Callable[[int], Archive], server: Server, bucket: str
) -> None:
    local = archive(12)
    local.image(3).unlink()
    local.image(4).write_bytes(b"no image")
    stored = Stored(server, bucket, local.workspace.root)
    record = stored.backfill()
    assert (record.status, record.predicted, record.failures) == ("done", 10, {"missing": 1, "not_an_image": 1})
    local.backfill()
    expected = "\n".join(query(local.workspace, local.config, _ROWS, "csv")).split("\n")
    assert stored.csv(_ROWS) == expected
    assert len(expected) == 11

    report = verify(stored.workspace)
    assert (report.problems, report.notes, report.rows) == (
        [], [], {"embeddings": 10, "failures": 2, "predictions": 10}
    )  # fmt: skip
    status = get_status(stored.workspace, stored.config)
    assert (status.pending, sum(status.predicted.values()), status.runs[0].status) == (0, 10, "done")
    with make_plan(stored.workspace, stored.config, Selection(check_images=True)) as plan:
        assert plan.pending == 0
    for key in stored.names("sums/"):
        for line in server.read(bucket, f"an/archive/{key}").decode().splitlines():
            digest, name = line.split("  ")
            assert hashlib.sha256(server.read(bucket, f"an/archive/{name}")).hexdigest() == digest
    assert not stored.names("staging")
    assert not stored.names(".duckdb")
    assert not [key for key in server.keys(bucket) if SECRET.encode() in server.read(bucket, key)]
    assert stored.workspace.database.is_file()
    left = [path for path in stored.workspace.scratch.rglob("*") if path.is_file()]
    assert not [path for path in left if SECRET.encode() in path.read_bytes()]

    server.write(bucket, "an/archive/predictions/stray.parquet", b"x")
    assert repair(stored.workspace, stored.config).report.problems == []
    assert "predictions/stray.parquet" not in stored.names()
    assert [key.rpartition("/")[2] for key in stored.names("quarantine/")] == ["stray.parquet", "quarantine.json"]

    server.write(bucket, "beside/photos.parquet", server.read(bucket, "an/archive/photos/photos.parquet"))
    with pytest.raises(GeotagError):
        stored.csv(f"SELECT * FROM read_parquet('s3://{bucket}/beside/photos.parquet')")


def test_only_the_parts_of_a_file_that_a_query_needs_are_fetched(
    archive: Callable[[int], Archive], server: Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = archive(0)
    rows = range(80_000)
    wide = {"gridimage_id": list(rows), "title": [hashlib.sha256(b"%d" % row).hexdigest() * 8 for row in rows]}
    data = io.BytesIO()
    pq.write_table(pa.table(wide), data, use_dictionary=False)
    server.write(bucket, "an/archive/photos/wide.parquet", data.getvalue())
    with proxied(server.url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        stored = Stored(server, bucket, local.workspace.root)
        server.client.delete_object(Bucket=bucket, Key="an/archive/photos/photos.parquet")
        with connect() as connection:
            (file,) = catalogue_files(connection, stored.workspace, stored.config)
            proxy.requests.clear()
            (row,) = connection.execute(f"SELECT sum(gridimage_id) FROM read_parquet('{file}')").fetchall()
            fetched = sum(size for method, _, size in proxy.requests if method == "GET")
    assert row == (3_199_960_000,)
    assert 0 < fetched < len(data.getvalue()) / 10


def test_a_store_that_stumbles_ends_a_command_with_its_reason_and_blames_no_file(
    archive: Callable[[int], Archive], server: Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = archive(1)
    commit_run(local.workspace, "20260101T000000Z-aaaa", "head-1", predictions=[prediction(1, {"Coastal": 0.9})])
    stored = Stored(server, bucket, local.workspace.root)
    config, workspace = stored.config, stored.workspace
    rebuild_views(workspace, config)
    with proxied(server.url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        open_store.cache_clear()
        works: list[Callable[[], object]] = [
            lambda: get_status(workspace, config),
            lambda: verify(workspace),
            lambda: list(query(workspace, config, "FROM predictions JOIN runs USING (run_id)")),
        ]
        denied: dict[str, object] = {"status": 403, "code": "AccessDenied"}
        cut: dict[str, object] = {"cut": True}
        for part, fault in (("photos/p", denied), ("predictions/", denied), ("list-type", denied), ("runs/", cut)):
            proxy.faults = []
            met = proxy.inject("GET", part, **fault)
            for work in works if part != "photos/p" else works[:1]:  # the others look at no photo
                before = met.seen
                with pytest.raises(StoreError, match=r"answered 403 \(AccessDenied\)|was cut off"):
                    work()
                assert met.seen > before


def test_catalogue_and_images_may_be_in_a_bucket_and_the_workspace_in_a_folder(
    archive: Callable[[int], Archive], server: Server, bucket: str
) -> None:
    local = archive(2)
    server.write(bucket, "pictures/00000/1.jpg", local.image(1).read_bytes())
    catalogue = local.workspace.root / "photos" / "photos.parquet"
    server.write(bucket, "photos/photos.parquet", catalogue.read_bytes())
    catalogue.unlink()
    set_key(local.workspace, "photos.path", f"s3://{bucket}/photos/*.parquet")
    set_key(local.workspace, "images.root", f"s3://{bucket}/pictures")
    with make_plan(local.workspace, local.config, Selection()) as plan:
        assert (plan.pending, plan.images) == (2, 2)
    source = open_source(local.config.images, local.workspace.root)
    source.check_root()
    assert source.fetch("00000/1.jpg").data == local.image(1).read_bytes()
    rebuild_views(local.workspace, local.config)
    assert list(query(local.workspace, local.config, "SELECT count(title) AS n FROM photos", "csv")) == ["n\n2"]


def test_the_command_line_works_in_a_bucket_and_says_where_it_does_not(bucket: str, server: Server) -> None:
    def geotag(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli, arguments)
        if isinstance(done.exception, GeotagError):
            return done.exception.exit_code, f"{done.output} {done.exception.message} {done.exception.hint}"
        return done.exit_code, done.output

    url = f"s3://{bucket}/another"
    said = [
        geotag("init", url),
        geotag("init", url),
        geotag("heads", "list", "-C", url),
        geotag("review", "-C", url),
        geotag("status", "-C", f"s3://somebody:{SECRET}@{bucket}/another"),
        geotag("status", "-C", f"s3://{bucket}/nothing"),
    ]
    assert [code for code, _ in said] == [0, 3, 0, 2, 3, 3]
    words = (
        f"made {url}/geotag.toml",
        "exists already",
        "",
        "needs a workspace in a folder",
        "password",
        "no geotag.toml",
    )
    for (_, text), word in zip(said, words, strict=True):
        assert word in text
        assert SECRET not in text
    assert server.keys(bucket) == ["another/geotag.toml"]


def test_a_workspace_in_a_folder_imports_nothing_of_stores(archive: Callable[[int], Archive]) -> None:
    local = archive(2)
    script = (
        "import sys; from pathlib import Path; from geotag_batch.workspace import Workspace\n"
        "from geotag_batch.config import load_config; from geotag_batch.run.status import get_status\n"
        "workspace = Workspace.find(Path(sys.argv[1])); get_status(workspace, load_config(workspace))\n"
        "print([name for name in ('obstore', 'boto3', 'geotag_batch.store', 'geotag_batch.store_files', "
        "'geotag_batch.lease') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(local.workspace.root)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_scratch_of_two_buckets_is_apart(tmp_path: Path, bucket: str) -> None:
    one, two = (Workspace(location(url)) for url in (f"s3://{bucket}/x", f"s3://{bucket}/y/x"))
    assert one.scratch != two.scratch
    assert one.scratch.is_relative_to(tmp_path / "scratch")


def test_a_run_over_a_bucket_is_told_by_mail_and_metrics_though_no_disk_is_there_to_fill(
    archive: Callable[[int], Archive], server: Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("handlers", "propagate", "level"):  # undone after the test
        monkeypatch.setattr(logging.getLogger("geotag"), name, getattr(logging.getLogger("geotag"), name))
    stored = Stored(server, bucket, archive(5).workspace.root)
    metrics = tmp_path / "geotag.prom"
    options = ["-C", stored.url, "--metrics-file", str(metrics)]
    done = CliRunner().invoke(cli, ["backfill", *options, "--limit", "4", "--summary", "mail"])
    assert (done.exit_code, done.stdout.splitlines()[0]) == (0, f"geotag backfill in {stored.url}: done so far")
    assert "\ngeotag_run_photos{" in metrics.read_text(encoding="utf-8")
    assert CliRunner().invoke(cli, ["status", *options]).exit_code == 0
    written = metrics.read_text(encoding="utf-8")
    assert ("\ngeotag_archive_photos{" in written, "disk_free" in written) == (True, False)
