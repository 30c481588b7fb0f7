"""One decoding process, seen from the parent: replaced when it hangs or dies, at the cost of one image.

Each process has a connection of its own and answers image by image, so that it is always known which image it was at.
(Pebble's pool, which shares one pipe among its workers, was tried: killing one that is between two tasks breaks the
pool and everything in it; see docs/decisions.md.)
"""

import multiprocessing
import signal
import threading
from collections.abc import Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

from geotag_batch.errors import ConfigError, PhotoFailure
from geotag_batch.read.images import FetchedImage
from geotag_batch.read.worker import DecodeJob, DecodeSettings, LoadedImage, serve

__all__ = ["DecodeProcess", "ProcessClosedError", "warm_up"]

_START_TIMEOUT = 60.0  # seconds, for a machine under load; it usually takes a tenth of one
_START_ATTEMPTS = 3  # something else may have killed the first
_START_HINT = "look at this machine's limits of memory and processes (ulimit -a), or lower run.workers"
_processes = threading.Lock()  # multiprocessing keeps one list of children, and no lock around it


def warm_up() -> None:
    """Start what decoding processes are forked from, which takes a second of imports, and do not wait for it."""
    multiprocessing.get_context("forkserver").set_forkserver_preload([serve.__module__])
    forkserver.ensure_running()


class ProcessClosedError(Exception):
    """The process was closed while, or before, it was used."""


class DecodeProcess:
    """Decodes for one thread at a time; any thread may close it."""

    def __init__(self, settings: DecodeSettings, timeout: float) -> None:
        """Prepare; the process starts when it is first used. `timeout` is for each image, in seconds."""
        self._settings = settings
        self._timeout = timeout
        self._closed = False
        self._process: ForkServerProcess | None = None
        self._connection: Connection | None = None

    def decode(self, jobs: Sequence[DecodeJob]) -> list[LoadedImage]:
        """Return one LoadedImage a job, in order.

        An image that takes too long is a `decode_timeout`, one at which the process died a `decode_crash`; the others
        go to the next process. Raises ProcessClosedError if closed, ConfigError if no process can be started.
        """
        loaded: list[LoadedImage] = []
        while len(loaded) < len(jobs):
            loaded += self._decode_until_failure(jobs[len(loaded) :])
        return loaded

    def close(self) -> None:
        """Kill the process; a thread that waits for it gets a ProcessClosedError, and drops the connection."""
        with _processes:
            self._closed = True
            self._kill()

    def _decode_until_failure(self, jobs: Sequence[DecodeJob]) -> list[LoadedImage]:
        connection = self._running()
        loaded: list[LoadedImage] = []
        try:
            connection.send(jobs)
            while len(loaded) < len(jobs):
                if not connection.poll(self._timeout):
                    failure = PhotoFailure("decode_timeout", f"not decoded within {self._timeout:g} seconds")
                    break
                loaded.append(connection.recv())
            else:
                return loaded
        except (EOFError, OSError):
            failure = PhotoFailure("decode_crash", f"the decoding process died {self._cause_of_death()}".rstrip())
        with _processes:
            self._kill()
        job = jobs[len(loaded)]
        if isinstance(job.image, FetchedImage):
            failure.image_signature = job.image.signature
        return [*loaded, LoadedImage.failed(job.gridimage_id, failure)]

    def _running(self) -> Connection:
        """Return the connection to a living process, started if need be."""
        with _processes:
            if self._closed:
                raise ProcessClosedError
            if self._connection is not None and self._process is not None and self._process.is_alive():
                return self._connection
        for _ in range(_START_ATTEMPTS):
            connection = self._start()
            try:
                if connection.poll(_START_TIMEOUT) and connection.recv() is None:
                    self._connection = connection
                    return connection
            except (EOFError, OSError):
                pass
            cause = self._cause_of_death()
        raise ConfigError(f"a decoding process does not start {cause}".rstrip(), hint=_START_HINT)

    def _start(self) -> Connection:
        context = multiprocessing.get_context("forkserver")  # no child inherits the lock, or a thread's mutex
        context.set_forkserver_preload([serve.__module__])
        ours, theirs = context.Pipe()
        with _processes:
            if self._closed:
                raise ProcessClosedError
            self._kill()
            self._process = context.Process(target=serve, args=(theirs, self._settings), daemon=True)
            try:
                self._process.start()
            except OSError as error:
                self._process = None
                raise ConfigError(f"a decoding process does not start: {error}", hint=_START_HINT) from error
        theirs.close()
        return ours

    def _cause_of_death(self) -> str:
        with _processes:
            if self._closed or self._process is None:
                raise ProcessClosedError
            self._process.join(1)
            code = self._process.exitcode
        if code is None or code >= 0:
            return "" if code is None else f"(exit code {code})"
        return f"({signal.Signals(-code).name})"

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join(1)
            self._process = None
