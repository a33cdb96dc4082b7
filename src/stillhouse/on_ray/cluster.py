"""A Ray cluster, joined or started on this machine; whatever is wrong with it in a sentence."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from stillhouse.engine.threads import cores
from stillhouse.errors import MissingExtra, RecipeError, RunError

T = TypeVar("T")

ADDRESS = "RAY_ADDRESS"
STORE = 128 * 2**20
"""Bytes of Ray's object store here: what goes through it are sentences and names of files."""
REACHED = 5.0
"""Seconds in which the head of a cluster must answer; Ray itself asks for twenty."""
AGAIN = 3
"""How often Ray has again what a process did that was killed."""


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to, and what one task of ours takes of it.

    Args:
        ray: the package.
        cpus: cores of a task, and the threads that it computes with.
        gpus: accelerators of a task.
        slots: how many tasks fit into the cluster at once.
    """

    ray: Any
    cpus: int
    gpus: int
    slots: int

    @property
    def takes(self) -> dict[str, Any]:
        """What Ray must know of a task."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus}


@contextmanager
def joined(address: str | None, *, cpus: int = 1, device: str = "auto") -> Iterator[Cluster]:
    """Join the cluster at an address, or start one of this machine for as long as it is needed.

    Args:
        address: ``HOST:PORT`` of its head, or 'auto' (one that runs on this machine); None: what
            RAY_ADDRESS says, else a cluster of this machine alone.
        cpus: cores of a task.
        device: of the recipe; where it is not 'cpu', a task has one of the cluster's GPUs, if any.

    Raises:
        MissingExtra: Ray is not installed.
        RecipeError: there is no cluster at that address, or a task does not fit into it.
    """
    ray = ray_at(address)
    address = address or os.environ.get(ADDRESS)
    here = {} if address else {"num_cpus": cores(), "object_store_memory": STORE}
    before = signal.getsignal(signal.SIGTERM)  # Ray would end us without a word
    try:
        ray.init(
            address=address or "local",
            log_to_driver=False,
            logging_level="ERROR",
            **(here and {**here, "include_dashboard": False}),
        )
    except Exception as error:  # of no class of its own where it does not start in its time
        ray.shutdown()
        if address:
            raise _unreachable(address, error) from error
        said = f"Ray did not start on this machine ({_line(error)})"
        raise RunError(f"{said}; give the command again where less else is at work") from error
    with suppress(ValueError):  # only the first thread may
        signal.signal(signal.SIGTERM, before)
    try:
        yield _fitting(ray, cpus, device)
    finally:
        ray.shutdown()


def ray_at(address: str | None) -> Any:
    """The package, once somebody answers at the address. Raises as `joined`; starts nothing."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError:
        raise MissingExtra("--on ray", "ray", "ray") from None
    _check_reached(address or os.environ.get(ADDRESS) or "local")
    return ray


def _fitting(ray: Any, cpus: int, device: str) -> Cluster:
    """The cluster with what a task takes. Raises RecipeError: no machine of it has that."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = int(device != "cpu" and any(each.get("GPU", 0) >= 1 for each in machines))
    slots = sum(
        int(min(each.get("CPU", 0) // cpus, each.get("GPU", 0) // gpus if gpus else 1e9))
        for each in machines
    )
    if not slots:
        most = int(max((each.get("CPU", 0) for each in machines), default=0))
        said = f"a task takes {cpus} cores, and no machine of the cluster has more than {most}"
        raise RecipeError("--cpus", [f"{said}; ask for fewer"])
    return Cluster(ray, cpus, gpus, slots)


def _check_reached(address: str) -> None:
    """Raises RecipeError where nobody listens: Ray would try for long, and say less."""
    if address in ("auto", "local"):
        return
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        said = f"'{address}' is no address of a cluster; write HOST:PORT of its head as 'ray start"
        raise RecipeError("--address", [f"{said} --head' prints it, or auto"])
    try:
        with closing(socket.create_connection((host, int(port)), timeout=REACHED)):
            return
    except (OSError, OverflowError) as error:
        raise _unreachable(address, error) from None


def _unreachable(address: str, error: Exception) -> RecipeError:
    said = f"no cluster of Ray answers at {address} ({_line(error)})"
    remedy = (
        "start one with 'ray start --head' (one with a token wants RAY_AUTH_MODE=token and "
        "the token here, too), or leave --address out to use this machine alone"
    )
    return RecipeError("--address", [f"{said}; {remedy}"])


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def outcome_of(cluster: Cluster, of: Any, who: str) -> Any:
    """What a task has given.

    Raises:
        RunError: its process was killed more often than Ray has it again, or never began.
        Exception: what was raised in it.
    """
    errors = cluster.ray.exceptions
    try:
        return cluster.ray.get(of)
    except errors.RayTaskError as error:
        cause = error.cause
        raise (cause if isinstance(cause, Exception) else error) from error
    except errors.RayError as error:
        said = (
            f"its process ended {AGAIN + 1} times, as it does where memory is short "
            f"({_line(error)})"
        )
        raise RunError(f"{who}: {said}") from error


def as_they_end(cluster: Cluster, tasks: dict[Any, T]) -> Iterator[tuple[Any, T]]:
    """Tasks with what is known of them, whichever ends first."""
    left = list(tasks)
    while left:
        ended, left = cluster.ray.wait(left, num_returns=1)
        for each in ended:
            yield each, tasks[each]
