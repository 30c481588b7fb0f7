"""Moto's S3 server in a process of its own, and the environment that leads to it."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import boto3

__all__ = ["SECRET", "Server", "environment", "serve"]

SECRET = "planted-secret-0123456789/abcdefghijklmnop"
"""The password of every test; it should be seen nowhere."""

_SCRIPT = """
import sys
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.serving import make_server, WSGIRequestHandler
WSGIRequestHandler.protocol_version = "HTTP/1.1"
WSGIRequestHandler.log = lambda *_: None
server = make_server("127.0.0.1", int(sys.argv[1]), create_backend_app("s3"), threaded=True)
import threading
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()  # ends with whoever started it
"""


class Server:
    """A running server; `client` is boto3's, independent of the code under test."""

    def __init__(self, port: int) -> None:
        """Talk to the server at `port`."""
        self.url = f"http://127.0.0.1:{port}"
        self.client = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key=SECRET,
        )

    def keys(self, bucket: str) -> list[str]:
        """Return the names of all objects of a bucket."""
        found = self.client.list_objects_v2(Bucket=bucket)
        assert not found["IsTruncated"]
        return [each["Key"] for each in found.get("Contents", [])]

    def read(self, bucket: str, key: str) -> bytes:
        """Return an object."""
        data: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return data

    def write(self, bucket: str, key: str, data: bytes) -> None:
        """Write an object."""
        self.client.put_object(Bucket=bucket, Key=key, Body=data)


@contextmanager
def serve() -> Iterator[Server]:
    """Run a server for the length of a `with` block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", _SCRIPT, str(port)], stdin=subprocess.PIPE)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=1).close()
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                assert process.poll() is None, "moto's server did not start"
                time.sleep(0.05)
        yield Server(port)
    finally:
        process.kill()
        process.communicate()


def environment(url: str) -> dict[str, str]:
    """Return the variables that lead to a server at `url`, and nowhere else."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PATH": os.environ["PATH"],
    }
