"""Images at which the decoding process hangs or dies: it is made to by an audit hook, as soon as it opens them."""

from pathlib import Path

from tests.corpus.cases import GOOD, Case
from tests.read.pictures import encoded

__all__ = ["DECODERS", "HOOK"]

HOOK = """
import os, signal, sys, time

def strike(event, arguments):
    if event != "open" or not isinstance(arguments[0], str):
        return
    name = os.path.basename(arguments[0])
    if name == "sleep.jpg":
        time.sleep(1000)
    if name == "spin.jpg":
        while True:
            pass
    if name == "abort.jpg":
        os.abort()
    if name == "segv.jpg":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "kill.jpg":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "exit.jpg":
        os._exit(0)
    if name == "memory.jpg":
        raise MemoryError

sys.addaudithook(strike)
"""
"""A sitecustomize.py that makes a process do what the name of a file that it opens says."""


def _named(name: str, text: str, expected: str) -> Case:
    return Case("decoder", text, expected, lambda path: (path.parent / name).write_bytes(GOOD), name.encode())


def _hundred_megapixels(path: Path) -> None:
    from PIL import Image  # noqa: PLC0415

    path.write_bytes(encoded(Image.new("L", (10_000, 10_000), 90), quality=20))


DECODERS = (
    _named("sleep.jpg", "sleeps", "decode_timeout"),
    _named("spin.jpg", "runs in a loop", "decode_timeout"),
    _named("abort.jpg", "aborts", "decode_crash"),
    _named("segv.jpg", "gets a segmentation fault", "decode_crash"),
    _named("kill.jpg", "is killed, as for memory", "decode_crash"),
    _named("exit.jpg", "exits as if all were well", "decode_crash"),
    _named("memory.jpg", "gets no memory to read the file", "decode_memory"),
    Case("decoder", "meets a JPEG of 100 megapixels", "too_large", _hundred_megapixels),
)
