"""A real S3 server on this machine (moto's), whose answers can be made to fail.

    with FaultyStore() as store:
        store.fail("drop", every=5)      # each fifth request from now on

| fault | what the client sees |
|---|---|
| drop | the connection is closed before anything was done |
| lose | it is closed after the server has done what was asked |
| cut | it is closed amid the answer |
| slow | the answer comes after the client has given up |
| busy | 503 Slow Down |
"""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

import fsspec
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

FAULTS = ("drop", "lose", "cut", "slow", "busy")
TIMEOUT = 1
"""Seconds that the client waits for an answer here."""
BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"

Environ = dict[str, Any]


class FaultyStore:
    """The server, with one empty bucket; while it is entered, ``s3://`` means it in this process.

    Args:
        bucket: its name.
        patience: seconds that a client waits for an answer; where no fault is asked for, more than
            a busy machine takes.
    """

    def __init__(self, bucket: str = "bucket", *, patience: float = TIMEOUT) -> None:
        self.bucket, self.patience = bucket, patience
        self.failed = 0
        self._app = DomainDispatcherApplication(create_backend_app)
        self._fault, self._every, self._method, self._seen = "", 0, "", 0
        self._lock = threading.Lock()
        self._server: Any = None
        self._port = 0

    def __enter__(self) -> Self:
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        self.start()
        self._before = fsspec.config.conf.get("s3")
        fsspec.config.conf["s3"] = self.settings
        fsspec.filesystem("s3").mkdir(self.bucket)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        fsspec.config.conf.pop("s3")
        if self._before is not None:
            fsspec.config.conf["s3"] = self._before

    @property
    def settings(self) -> dict[str, Any]:
        """What the client has to know."""
        return {
            "key": "key",
            "secret": "secret",
            "endpoint_url": f"http://127.0.0.1:{self._port}",
            "config_kwargs": {
                "read_timeout": self.patience,
                "connect_timeout": self.patience,
                "retries": {"max_attempts": 1},
            },
        }

    @property
    def environment(self) -> dict[str, str]:
        """The same for a process that is started."""
        return {"FSSPEC_S3": json.dumps(self.settings)}

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = make_server("127.0.0.1", self._port, self, threaded=True)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Be gone; what was stored stays."""
        self._server.shutdown()
        self._server.server_close()

    def fail(self, fault: str = "", *, every: int = 1, method: str = "") -> None:
        """Let each n-th request of a method (all: '') fail from now on; none: ''."""
        with self._lock:
            self._fault, self._every, self._method = fault, every, method
            self._seen = self.failed = 0

    def __call__(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        """A WSGI application around moto's."""
        fault = self._fault_of(environ["REQUEST_METHOD"])
        if fault == "drop":
            hang_up(environ)
        if fault == "slow":
            time.sleep(1.5 * TIMEOUT)
        if fault == "busy":
            start("503 Slow Down", [("Content-Length", str(len(BUSY)))])
            return [BUSY]
        answer = self._app(environ, start)
        if fault == "lose":
            hang_up(environ)
        return cut(environ, answer) if fault == "cut" else answer

    def _fault_of(self, method: str) -> str:
        with self._lock:
            if not self._fault or self._method not in ("", method):
                return ""
            self._seen += 1
            if self._seen % self._every:
                return ""
            self.failed += 1
            return self._fault


def cut(environ: Environ, answer: Iterable[bytes]) -> Iterator[bytes]:
    """The first half of an answer, and no more."""
    whole = b"".join(answer)
    yield whole[: len(whole) // 2]
    hang_up(environ)


def hang_up(environ: Environ) -> None:
    """Close the connection of a request."""
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionError("hung up")
