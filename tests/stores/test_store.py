"""The verbs of a store, and what comes of a server that refuses, stumbles, lies or is cut off."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from geotag_batch.config import ImagesConfig
from geotag_batch.encode.files import model_file
from geotag_batch.errors import ConfigError, ImageRootError, PhotoFailure, StoreError, UsageError
from geotag_batch.locations import StorePath, location
from geotag_batch.read.sources import ImageSource, open_source
from geotag_batch.store import ChangedError, Store, open_store
from geotag_batch.store_files import StoreFiles
from tests.stores.proxy import Proxy, proxied
from tests.stores.server import SECRET, Server


@pytest.fixture
def proxy(server: Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Return a proxy before the server, to which the environment leads."""
    with proxied(server.url) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL", found.url)
        found.bucket = bucket
        yield found


@pytest.fixture
def store(proxy: Proxy, bucket: str) -> Store:
    """Return the bucket through the proxy; three tries."""
    return open_store(f"s3://{bucket}", 3, 2.0)


@pytest.fixture
def images(proxy: Proxy, bucket: str) -> ImageSource:
    """Return a source of the images in the bucket, three tries each."""
    return open_source(ImagesConfig(root=f"s3://{bucket}/images", fetch_attempts=3, fetch_timeout=2.0), Path("/"))


def test_an_object_is_made_once_and_replaced_only_in_the_version_that_is_known(store: Store, server: Server) -> None:
    bucket = store.url.removeprefix("s3://")
    first = store.put_new("a/x", b"one")
    with pytest.raises(FileExistsError):
        store.put_new("a/x", b"two")
    second = store.put_if("a/x", b"three", first)
    with pytest.raises(ChangedError):
        store.put_if("a/x", b"four", first)
    assert server.read(bucket, "a/x") == b"three"
    assert store.head("a/x").etag == second
    with pytest.raises(FileNotFoundError):
        store.read("a/y")
    store.delete("a/x")
    store.delete("a/x")
    assert server.keys(bucket) == []


def test_a_path_in_a_store_reads_like_one_in_a_folder(bucket: str, server: Server, tmp_path: Path) -> None:
    names = ("geotag.toml", "runs/2.json", "runs/1.json", "p/head=a [1]/d=1/x.parquet", "p/head=a [1]/d=1/.x", "p/y")
    here, there = tmp_path, location(f"s3://{bucket}/some/where")
    for name in names:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(name.encode())
        server.write(bucket, f"some/where/{name}", name.encode())

    def seen(root: Path) -> list[object]:
        globs = [root.glob(each) for each in ("*", "runs/*.json", "p/head=*/d=*/[a-z]*.parquet", "runs/3*", "q/*")]
        found: list[object] = [sorted(str(path.relative_to(root)) for path in each) for each in globs]
        found += [sorted(path.name for path in root.iterdir())]
        found += [sorted(path.name for path in (root / "p").rglob("*") if not path.is_dir())]
        found += [
            [(root / each).exists(), (root / each).is_file(), (root / each).is_dir()] for each in ("p", "r", "p/y")
        ]
        found += [(root / "p/y").read_text(), (root / "p" / "y").stat().st_size, (root / "p/y").with_name("z").name]
        return found

    assert seen(there) == seen(here)
    assert str(there / "p") == f"s3://{bucket}/some/where/p"
    with pytest.raises(UsageError, match="needs a folder"):
        open(there / "p/y")  # noqa: SIM115


def test_what_is_refused_is_said_once_and_what_stumbles_is_tried_a_few_times(store: Store, proxy: Proxy) -> None:
    store.put("x", b"data")
    denied = proxy.inject("GET", "/x", status=403, code="AccessDenied")
    with pytest.raises(StoreError, match=r"/x: the store answered 403 \(AccessDenied\)"):
        store.read("x")
    assert denied.seen == 1
    proxy.faults = []
    slow = proxy.inject("GET", "/x", status=503, code="SlowDown", times=2)
    assert store.read("x").data == b"data"
    assert slow.seen == 2
    slow = proxy.inject("GET", "/x", status=503, code="SlowDown")
    with pytest.raises(StoreError, match="503"):
        store.read("x")
    assert slow.seen == 3
    proxy.faults = []
    with pytest.raises(StoreError, match="no such bucket"):
        open_store("s3://nobody-has-it", 3, 2.0).read("x")


def test_a_body_that_is_cut_off_is_never_taken_for_the_object(store: Store, proxy: Proxy) -> None:
    store.put("x", bytes(100_000))
    proxy.inject("GET", "/x", cut=True)
    with pytest.raises(StoreError):
        store.read("x")
    with pytest.raises(StoreError):
        store.read_range("x", 10, 50_000, store.head("x").etag)


def test_an_answer_that_is_lost_does_not_make_an_object_that_is_not_ours(
    store: Store, proxy: Proxy, server: Server
) -> None:
    proxy.inject("PUT", "/x", lost=True, times=1)
    store.put_new("x", b"mine")  # the second try finds what the first one made
    assert server.read(store.url.removeprefix("s3://"), "x") == b"mine"
    proxy.inject("PUT", "/y", status=503, code="SlowDown")
    with pytest.raises(StoreError):
        store.put_new("y", b"never")
    assert server.keys(store.url.removeprefix("s3://")) == ["x"]


def test_a_file_that_is_replaced_while_it_is_read_is_an_error(proxy: Proxy, bucket: str, server: Server) -> None:
    server.write(bucket, "x", bytes(1000))
    with StoreFiles("s3").open(f"s3://{bucket}/x") as file:
        assert file.read(10) == bytes(10)
        server.write(bucket, "x", b"1" * 1000)
        with pytest.raises(StoreError, match="replaced or removed"):
            file.read(10)


@pytest.mark.parametrize(
    ("fault", "error_class", "requests"),
    [
        ({"status": 404, "code": "NoSuchKey"}, "missing", 1),
        ({"status": 403, "code": "AccessDenied"}, "fetch_error", 1),
        ({"status": 503, "code": "SlowDown"}, "fetch_error", 3),
        ({"cut": True}, "fetch_error", 1),
    ],
)
def test_an_image_that_cannot_be_had_fails_with_its_class_after_bounded_tries(
    images: ImageSource, proxy: Proxy, server: Server, fault: dict[str, object], error_class: str, requests: int
) -> None:
    server.write(proxy.bucket, "images/1.jpg", bytes(100_000))
    assert len(images.fetch("1.jpg").data) == 100_000
    met = proxy.inject("GET", "1.jpg", **fault)
    with pytest.raises(PhotoFailure) as raised:
        images.fetch("1.jpg")
    assert raised.value.error_class == error_class
    assert requests <= met.seen <= 3


def test_an_image_has_its_etag_for_a_signature_and_stays_below_the_root(
    images: ImageSource, bucket: str, server: Server
) -> None:
    server.write(bucket, "images/1.jpg", b"one")
    before = images.signature("1.jpg")
    assert images.fetch("1.jpg").signature == before
    server.write(bucket, "images/1.jpg", b"two")
    assert images.signature("1.jpg") != before
    for reference in ("../other/1.jpg", "/1.jpg", "s3://elsewhere/1.jpg", "http://127.0.0.1/1.jpg"):
        with pytest.raises(PhotoFailure) as raised:
            images.fetch(reference)
        assert raised.value.error_class == "outside_root"
    assert images.fetch(f"s3://{bucket}/images/1.jpg").data == b"two"


def test_an_image_root_that_is_empty_or_refuses_is_no_failure_of_photos(
    images: ImageSource, proxy: Proxy, bucket: str
) -> None:
    with pytest.raises(ImageRootError, match="is empty"):
        images.check_root()
    proxy.inject("GET", "list-type", status=403, code="AccessDenied")
    with pytest.raises(ImageRootError, match="403"):
        images.check_root()


def test_a_password_is_in_no_error_and_in_nothing_that_a_path_or_a_store_shows(
    store: Store, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError) as refused:
        location(f"s3://somebody:{SECRET}@bucket/prefix")
    assert SECRET not in f"{refused.value.message} {refused.value.hint}"
    proxy.inject("GET", "/x", status=403, code="SignatureDoesNotMatch")
    with pytest.raises(StoreError) as denied:
        store.read("x")
    place = location(f"{store.url}/x")
    assert isinstance(place, StorePath)
    for shown in (denied.value.message, str(denied.value), repr(store), repr(place), str(place.store), str(place)):
        assert SECRET not in shown
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://somebody:{SECRET}@127.0.0.1:9")
    with pytest.raises(ConfigError, match="AWS_ENDPOINT_URL is not") as wrong:
        open_store("s3://other-bucket", 1, 1.0)
    assert SECRET not in f"{wrong.value.message} {wrong.value.hint}"


def test_a_model_in_a_bucket_is_copied_once_for_each_version(bucket: str, server: Server, tmp_path: Path) -> None:
    root = location(f"s3://{bucket}/archive")
    assert model_file(root, "/models/clip.pt") == Path("/models/clip.pt")
    assert not model_file(root, "models/clip.safetensors").exists()
    for content in (b"one" * 4_000_000, b"two"):
        server.write(bucket, "archive/models/clip.safetensors", content)
        copy = model_file(root, "models/clip.safetensors")
        assert copy.is_relative_to(tmp_path / "scratch")
        assert copy.read_bytes() == content
        assert model_file(root, "models/clip.safetensors") == copy
    assert model_file(tmp_path, "models/clip.pt") == tmp_path / "models" / "clip.pt"


def test_credentials_may_be_in_a_profile(
    proxy: Proxy, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "credentials").write_text(
        f"[night]\naws_access_key_id = OFTHEPROFILE\naws_secret_access_key = {SECRET}\n", encoding="utf-8"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "night")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert open_store(f"s3://{bucket}").entries("") == []
    (authorization,) = proxy.authorizations
    assert "Credential=OFTHEPROFILE/" in authorization
    monkeypatch.setenv("AWS_PROFILE", "another")
    open_store.cache_clear()
    with pytest.raises(ConfigError, match="no credentials"):
        open_store(f"s3://{bucket}")


def test_another_kind_of_store_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="gs:// is not supported"):
        location("gs://bucket/prefix")


def test_without_the_extra_a_bucket_is_refused_in_words(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)
    with pytest.raises(ConfigError, match="needs the extra `s3`"):
        location(f"s3://{bucket}/x").exists()
