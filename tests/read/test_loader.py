import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geotag_batch.config import ImagesConfig
from geotag_batch.errors import ConfigError, ImageRootError, PhotoFailure
from geotag_batch.read.images import FetchedImage, ImageLimits, decode_image
from geotag_batch.read.loader import ImageLoader, ImageRequest, LoadedImage, while_root_answers
from tests.read.pictures import TINY, encoded, picture, scan_bomb
from tests.read.server import Handler, Server, running_server

GOOD = encoded(picture(64, 48))
HANGING = scan_bomb(6000)  # about half a minute


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    root.mkdir()
    for number in range(40):
        (root / f"{number}.jpg").write_bytes(encoded(picture(64, 48, seed=number)))
    (root / "hanging.jpg").write_bytes(HANGING)
    return root


@pytest.fixture
def images(root: Path) -> ImagesConfig:
    return ImagesConfig(root=str(root))


def requests(references: Sequence[str | None]) -> list[ImageRequest]:
    return [ImageRequest(1000 + number, reference) for number, reference in enumerate(references)]


def loader(images: ImagesConfig, workers: int = 2) -> ImageLoader:
    return ImageLoader(images, Path("/nowhere"), TINY, workers)


def classes(loaded: Sequence[LoadedImage]) -> list[str | None]:
    """Return each failure's class, None for an image; one or the other it must be."""
    for image in loaded:
        assert (image.pixels is None) != (image.failure is None)
    return [image.failure.error_class if image.failure is not None else None for image in loaded]


def worker_pids() -> list[int]:
    return sorted(process.pid for process in multiprocessing.active_children() if process.pid is not None)


def kill_when_busy() -> None:
    """Kill the one decoding process when it has worked for longer than small images and its start take."""
    while True:
        for pid in worker_pids():
            user_time = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])
            if user_time > 2 * os.sysconf("SC_CLK_TCK"):
                return os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


@contextlib.contextmanager
def soon(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


def test_every_request_comes_back_once_in_order_with_its_own_image(images: ImagesConfig, root: Path) -> None:
    asked = requests([f"{number % 40}.jpg" for number in range(100)])
    with loader(images) as loading:
        loaded = list(loading.load(asked, look_ahead=20))
    assert [image.gridimage_id for image in loaded] == [request.gridimage_id for request in asked]
    for number, image in enumerate(loaded):
        file = root / f"{number % 40}.jpg"
        limits = ImageLimits(images.max_bytes, images.max_pixels)
        np.testing.assert_array_equal(image.pixels, decode_image(file.read_bytes(), TINY, limits))
        assert image.signature == f"{file.stat().st_size}-{file.stat().st_mtime_ns}"
        assert image.failure is None


def test_failures_stand_among_the_images_with_class_and_signature(images: ImagesConfig, root: Path) -> None:
    (root / "cut.jpg").write_bytes(GOOD[:500])
    (root / "folder.jpg").mkdir()
    with loader(images) as loading:
        loaded = list(loading.load(requests(["0.jpg", None, "none.jpg", "cut.jpg", "../x.jpg", "folder.jpg", "1.jpg"])))
    assert classes(loaded) == [None, "missing", "missing", "truncated", "outside_root", "not_a_file", None]
    status = (root / "cut.jpg").stat()
    assert loaded[3].failure is not None
    assert loaded[3].signature == loaded[3].failure.image_signature == f"{status.st_size}-{status.st_mtime_ns}"
    assert loaded[2].signature is None


@pytest.mark.parametrize("look_ahead", [1, 5, 8, 30])
def test_requests_are_drawn_as_they_are_needed(images: ImagesConfig, look_ahead: int) -> None:
    drawn = 0

    def endless() -> Iterator[ImageRequest]:
        nonlocal drawn
        while True:
            drawn += 1
            yield ImageRequest(drawn, f"{drawn % 40}.jpg")

    with loader(images) as loading:
        for number, image in enumerate(loading.load(endless(), look_ahead)):
            assert image.gridimage_id == number + 1
            assert number + 1 <= drawn <= number + look_ahead
            if number == 60:
                break


def test_a_loader_serves_one_load_after_another_with_the_same_processes(images: ImagesConfig) -> None:
    with loader(images) as loading:
        assert list(loading.load([])) == []
        for _ in range(3):
            assert classes(list(loading.load(requests(["0.jpg"] * 20)))) == [None] * 20
        assert len(worker_pids()) <= 2
    assert worker_pids() == []


def test_an_error_of_the_requests_own_is_raised(images: ImagesConfig) -> None:
    def broken() -> Iterator[ImageRequest]:
        yield ImageRequest(1, "0.jpg")
        raise ZeroDivisionError

    with loader(images) as loading, pytest.raises(ZeroDivisionError):
        list(loading.load(broken()))


def test_an_image_that_takes_too_long_costs_itself_alone(images: ImagesConfig) -> None:
    asked = requests([*["0.jpg"] * 5, "hanging.jpg", *["1.jpg"] * 15])
    with loader(replace(images, decode_timeout=1.0)) as loading, soon(10):
        loaded = list(loading.load(asked))
    assert classes(loaded) == [None] * 5 + ["decode_timeout"] + [None] * 15


def test_an_image_at_which_the_process_dies_costs_itself_alone(images: ImagesConfig) -> None:
    asked = requests([*["0.jpg"] * 5, "hanging.jpg", *["1.jpg"] * 15])
    with loader(images, workers=1) as loading:
        killer = threading.Thread(target=kill_when_busy)
        killer.start()
        loaded = list(loading.load(asked))
        killer.join()
    assert classes(loaded) == [None] * 5 + ["decode_crash"] + [None] * 15
    assert loaded[5].failure is not None
    assert "SIGKILL" in loaded[5].failure.message


def test_an_idle_process_that_dies_costs_nothing(images: ImagesConfig) -> None:
    with loader(images) as loading:
        for _ in range(3):
            assert classes(list(loading.load(requests(["0.jpg"] * 20)))) == [None] * 20
            for pid in worker_pids():
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)


@pytest.mark.slow
def test_processes_killed_at_random_cost_one_image_each(images: ImagesConfig) -> None:
    random = np.random.default_rng(0)
    kills = 0
    done = threading.Event()

    def kill() -> None:
        nonlocal kills
        while not done.wait(random.uniform(0.02, 0.3)):
            for pid in worker_pids()[:1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    kills += 1

    asked = requests([f"{number % 40}.jpg" for number in range(3000)])
    with loader(images) as loading:
        killer = threading.Thread(target=kill)
        killer.start()
        try:
            loaded = list(loading.load(asked))
        finally:
            done.set()
            killer.join()
    assert [image.gridimage_id for image in loaded] == [request.gridimage_id for request in asked]
    found = classes(loaded)
    assert set(found) <= {None, "decode_crash"}
    assert 0 < found.count("decode_crash") <= kills


def test_an_image_that_needs_too_much_memory_is_told_from_a_broken_one(images: ImagesConfig, root: Path) -> None:
    large = Image.new("RGB", (4000, 4000), (90, 120, 60))
    (root / "large.png").write_bytes(encoded(large.resize((6000, 6000)), "PNG", compress_level=1))
    (root / "large.jpg").write_bytes(encoded(large, progressive=True))  # libjpeg calls it a broken stream
    (root / "large.webp").write_bytes(encoded(large, "WEBP", method=0))  # libwebp cannot make a decoder
    asked = requests(["0.jpg", "large.png", "1.jpg", "large.jpg", "large.webp", "2.jpg"])
    expected = [None, "decode_memory", None, "decode_memory", "decode_memory", None]
    with loader(replace(images, decode_memory=100_000_000), workers=1) as loading:
        assert classes(list(loading.load(asked))) == expected
    with loader(images, workers=1) as loading:
        assert classes(list(loading.load(asked))) == [None] * 6


class Unloadable:
    def __reduce__(self) -> tuple[object, ...]:
        return os._exit, (3,)


def test_a_process_that_cannot_start_is_a_configuration_error(images: ImagesConfig) -> None:
    fatal = ImageLoader(images, Path("/"), Unloadable(), workers=2)  # type: ignore[arg-type]
    with fatal as loading, pytest.raises(ConfigError, match=r"does not start \(exit code 3\)") as caught:
        list(loading.load(requests(["0.jpg"])))
    assert caught.value.hint is not None


@pytest.mark.slow
def test_pillows_own_limit_does_not_bound_a_higher_one(images: ImagesConfig, root: Path) -> None:
    (root / "wide.png").write_bytes(encoded(Image.new("1", (14000, 13000)), "PNG"))  # 182 megapixels
    with loader(replace(images, max_pixels=200_000_000)) as loading:
        assert classes(list(loading.load(requests(["wide.png"])))) == [None]


def test_decoding_processes_have_no_torch(images: ImagesConfig) -> None:
    with loader(images) as loading:
        list(loading.load(requests(["0.jpg"] * 20)))
        pids = worker_pids()
        assert pids
        for pid in pids:
            libraries = Path(f"/proc/{pid}/maps").read_text()
            assert "libjpeg" in libraries
            assert "torch" not in libraries


def test_ctrl_c_is_left_to_the_parent(images: ImagesConfig) -> None:
    with loader(images) as loading:
        list(loading.load(requests(["0.jpg"] * 20)))
        pids = worker_pids()
        for pid in pids:
            os.kill(pid, signal.SIGINT)
        assert classes(list(loading.load(requests(["0.jpg"] * 20)))) == [None] * 20
        assert worker_pids() == pids


def test_leaving_early_is_prompt_even_while_a_decoder_hangs(images: ImagesConfig) -> None:
    with soon(10):
        with loader(images) as loading:
            for _ in loading.load(requests(["0.jpg"] * 8 + ["hanging.jpg"] * 200), look_ahead=32):
                break
            time.sleep(0.5)
            left = time.monotonic()
        assert time.monotonic() - left < 2
    assert worker_pids() == []


def test_stop_in_a_signal_handler_ends_the_loading(images: ImagesConfig) -> None:
    with loader(images) as loading:
        list(loading.load(requests(["0.jpg"])))
        before = signal.signal(signal.SIGALRM, lambda *_: loading.stop())
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            with soon(4):
                assert list(loading.load(requests(["hanging.jpg"] * 10))) == []
        finally:
            signal.signal(signal.SIGALRM, before)


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as server:
        yield server


def test_images_of_a_server_are_fetched_a_few_at_a_time_and_in_order(server: Server) -> None:
    under_way, most = 0, 0
    lock = threading.Lock()

    def answer(request: Handler) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.02 if request.path.endswith("0.jpg") else 0.005)
        with lock:
            under_way -= 1
        number = int(request.path[1:-4])
        request.answer(200, encoded(picture(64, 48, seed=number)), ETag=f'"{number}"')

    for number in range(60):
        server.behaviours[f"/{number}.jpg"] = answer
    server.behaviours["/30.jpg"] = lambda request: request.answer(200, b"<html>sorry</html>", ETag='"sorry"')
    server.behaviours["/31.jpg"] = lambda request: request.answer(200, HANGING, ETag='"hanging"')
    del server.behaviours["/32.jpg"]
    images = ImagesConfig(root=server.root, connections=3, decode_timeout=1.0)
    with loader(images) as loading:
        loaded = list(loading.load(requests([f"{number}.jpg" for number in range(60)])))
    expected: list[str | None] = [None] * 60
    expected[30:33] = ["not_an_image", "decode_timeout", "missing"]
    assert classes(loaded) == expected
    assert [image.signature for image in loaded[29:33]] == ['"29"', '"sorry"', '"hanging"', None]
    limits = ImageLimits(images.max_bytes, images.max_pixels)
    np.testing.assert_array_equal(loaded[40].pixels, decode_image(encoded(picture(64, 48, seed=40)), TINY, limits))
    assert 1 < most <= 3
    assert max(server.asked.values()) == 1


class _Root:
    """An image source of which only the root matters: it answers until it is `down`."""

    def __init__(self) -> None:
        self.down, self.asked = False, 0

    def check_root(self) -> None:
        self.asked += 1
        if self.down:
            raise ImageRootError("down")

    def signature(self, reference: str) -> str:
        raise NotImplementedError

    def fetch(self, reference: str) -> FetchedImage:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


def test_after_sixteen_images_in_a_row_that_cannot_be_had_the_root_is_asked() -> None:
    root = _Root()
    missing = LoadedImage.failed(1, PhotoFailure("fetch_error", "reset"))
    broken = LoadedImage.failed(1, PhotoFailure("corrupt", "bad"))
    assert len(list(while_root_answers(iter([broken] * 100 + ([missing] * 15 + [broken]) * 9), root))) == 244
    assert root.asked == 0
    assert len(list(while_root_answers(iter([missing] * 40), root))) == 40
    assert root.asked == 2
    root.down = True
    images = while_root_answers(iter([missing] * 40), root)
    with pytest.raises(ImageRootError):
        list(images)
    assert root.asked == 3


def stall(request: Handler) -> None:
    request.server.stopping.wait(10)


def test_leaving_early_is_prompt_even_while_a_server_stalls(server: Server) -> None:
    for number in range(50):
        server.behaviours[f"/{number}.jpg"] = stall
    server.behaviours["/0.jpg"] = lambda request: request.answer(200, GOOD)
    with soon(10):
        with loader(ImagesConfig(root=server.root)) as loading:
            for _ in loading.load(requests([f"{number}.jpg" for number in range(50)])):
                break
            time.sleep(0.3)
            left = time.monotonic()
        assert time.monotonic() - left < 2
    assert worker_pids() == []
    deadline = time.monotonic() + 2
    while any(thread.name.startswith("images") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def session_of(leader: int) -> list[int]:
    """Return the processes of a session, by /proc: field 6 of stat, after the name in brackets."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return found


def test_a_parent_killed_at_once_leaves_no_process(root: Path) -> None:
    program = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        from geotag_batch.config import ImagesConfig
        from geotag_batch.preprocess import OPENAI_PREPROCESS
        from geotag_batch.read.loader import ImageLoader, ImageRequest
        loader = ImageLoader(ImagesConfig(root={str(root)!r}), Path("/"), OPENAI_PREPROCESS, 2)
        references = ["0.jpg"] * 16 + ["hanging.jpg"] * 16
        for image in loader.load([ImageRequest(n, name) for n, name in enumerate(references)]):
            print(image.gridimage_id, flush=True)
        """
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True) as parent:
        assert parent.stdout is not None
        for _ in range(16):
            parent.stdout.readline()
        time.sleep(0.5)  # both processes are deep in a decoder now
        assert len(session_of(parent.pid)) >= 4  # the parent, its fork server, two decoding processes
        parent.kill()
    deadline = time.monotonic() + 5
    while session_of(parent.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
