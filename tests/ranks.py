"""Scripts in processes of their own, forked from one that has imported torch already.

A fresh interpreter needs seconds for its imports; a test of two processes and of one would wait for
nine of them.
"""

import io
import os
import socket
import sys
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

FORKS = get_context("forkserver")
# Dynamo, since the first optimiser imports it. Not Stillhouse: its checkout the paths below decide.
FORKS.set_forkserver_preload(["accelerate", "safetensors.torch", "torch._dynamo"])

HERE = Path(__file__).parent


class Lines(io.TextIOBase):
    """A standard output whose lines another process reads as they come."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self.send = send

    def write(self, text: str) -> int:
        if text.strip():
            self.send(text)
        return len(text)


def _run(
    script: str, args: list[str], paths: list[str], env: dict[str, str], out: Connection | None
) -> None:
    os.environ.update(env)
    sys.argv, sys.path[:0] = ["script", *args], paths
    if out is not None:
        sys.stdout = Lines(out.send)
    exec(compile(script, "script", "exec"), {"__name__": "__main__"})


def start(
    script: str, *args: object, out: object = None, env: dict[str, str] | None = None,
    beside: Path = HERE,
) -> BaseProcess:  # fmt: skip
    """The script with sys.argv[1:] = args; its prints go to the connection ``out``."""
    paths = [str(beside), str(HERE), str(HERE.parent / "src")]
    given = (script, [str(arg) for arg in args], paths, env or {}, out)
    process = FORKS.Process(target=_run, args=given)
    process.start()
    return process


def launch(
    world: int,
    script: str,
    *args: object,
    beside: Path = HERE,
    codes: list[int] | None = None,
    seconds: float = 120,
) -> None:
    """As many processes as ``world``, of one group when there are several; all must end well.

    ``codes``: as which they must end instead. ``seconds``: how long each may take.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
    common |= {"WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world)}
    ranks = [common | {"RANK": str(r), "LOCAL_RANK": str(r)} for r in range(world)]
    alone = world == 1
    running = [start(script, *args, env={} if alone else env, beside=beside) for env in ranks]
    for process in running:
        process.join(timeout=seconds)
    ended = [process.exitcode for process in running]
    # One that hangs would take its share of the machine until all tests end.
    for process in running:
        if process.is_alive():
            process.kill()
            process.join()
    assert ended == (codes or [0] * world)
