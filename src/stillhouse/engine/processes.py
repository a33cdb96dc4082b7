"""The processes of one run: what their launcher asks for, and what only the main one does.

A collective (a reduction, a barrier) must be reached by all processes, so none may stand where only
the main one comes by. What one process does alone (a lock, a transfer set, the report) goes through
`by_main`: the others wait without a limit, and an error of the main one is raised in all.
"""

import itertools
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

from stillhouse.errors import RecipeError, RunError

T = TypeVar("T")

SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
"""Variables in which launchers (torchrun, accelerate, MPI) say how many there are, and which this
one is; the first that is set counts."""
CUT = ("FSDP", "DEEPSPEED", "MEGATRON_LM", "PARALLELISM_CONFIG")
"""What `accelerate launch` can be asked for (``ACCELERATE_USE_FSDP``) that cuts a network into
parts of which each process holds one."""
LAST_PORT = 65535
FIRST, LONGEST = 0.01, 0.5
"""Seconds between two looks for the main process: at first, and after a while."""
DONE = b"done"

_turns = itertools.count()


def world_asked(environment: Mapping[str, str] | None = None) -> int:
    """How many processes the launcher says there are; 1 without a launcher.

    Raises:
        RecipeError: it says so, but not how they find each other; or it was asked for several, and
            has started one; or for parts of a network in each.

    >>> world_asked({}), world_asked({"WORLD_SIZE": "1", "RANK": "0"})
    (1, 1)
    """
    said = os.environ if environment is None else environment
    _check_whole(said)
    name, world = _number(said, SIZES, default=1)
    if world < 1:
        raise RecipeError("processes", [f"{name} is {world}; it must be at least 1"])
    if world == 1:
        if not said.get(name) and said.get("ACCELERATE_USE_CPU") and said.get("MASTER_PORT"):
            # The launcher of Accelerate says where several meet, and starts one.
            problem = (
                "'accelerate launch' was asked for several processes and has started one, as it "
                "does without --multi_gpu or MPI; start them with 'torchrun --nproc-per-node N -m "
                "stillhouse ...', or one with 'stillhouse ...'"
            )
            raise RecipeError("processes", [problem])
        return 1
    lacking = [each for each in ("MASTER_ADDR", "MASTER_PORT") if not said.get(each)]
    lacking = [*([] if any(said.get(each) for each in RANKS) else ["RANK"]), *lacking]
    remedy = (
        f"start all of them with 'torchrun --nproc-per-node {world} -m stillhouse ...', or unset "
        f"{name} to run one process"
    )
    if lacking:
        unset = f"{' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not set"
        raise RecipeError("processes", [f"{name} is {world}, and {unset}; {remedy}"])
    rank_name, rank = _number(said, RANKS, default=0)
    if not 0 <= rank < world:
        problem = f"{rank_name} is {rank}, and {name} is {world}; {remedy}"
        raise RecipeError("processes", [problem])
    _, port = _number(said, ("MASTER_PORT",), default=1)
    if not 0 < port <= LAST_PORT:
        raise RecipeError("processes", [f"MASTER_PORT is {port}, which is no port; {remedy}"])
    return world


def _check_whole(said: Mapping[str, str]) -> None:
    """Raises RecipeError where processes are to hold parts of networks, not whole ones."""
    asked = [each for each in CUT if said.get(f"ACCELERATE_USE_{each}", "").lower() == "true"]
    if asked:
        problem = (
            f"'accelerate launch' was asked for {asked[0]}, which cuts a network apart, and here "
            "each process holds whole ones; start it without (--multi_gpu), and let a teacher that "
            "is too large for a device be recorded by itself ('stillhouse cache')"
        )
        raise RecipeError("processes", [problem])


def rank_asked() -> int:
    """Which of the processes this is, as the launcher says; 0 without a launcher."""
    return _number(os.environ, RANKS, default=0)[1]


def _number(said: Mapping[str, str], names: tuple[str, ...], default: int) -> tuple[str, int]:
    """The first of these variables that is set, and its value."""
    for name in names:
        if said.get(name):
            try:
                return name, int(said[name])
            except ValueError:
                problem = f"{name} is '{said[name]}', which is no whole number; unset it"
                raise RecipeError("processes", [problem]) from None
    return names[0], default


def by_main(work: Callable[[], T], *, main: bool, meet: Callable[[], None]) -> T | None:
    """Let the main process do this, while the others wait; gives its result there, else None.

    All processes must come here. ``work`` must wait for no other process.

    Args:
        work: what is done by the main process alone.
        main: whether this is the main process.
        meet: waits for all, a short while: nobody may end before the others know.

    Raises:
        RunError: in the others, what was raised in the main process, where it is raised as it is.
    """
    store, turn = _store(), f"turn-{next(_turns)}"
    if main:
        try:
            found = work()
        except BaseException as error:
            with suppress(Exception):  # who has ended need not know
                store.set(turn, str(error) or type(error).__name__)
                if isinstance(error, Exception):  # who was interrupted waits for nobody
                    meet()
            raise
        store.set(turn, DONE)
        meet()
        return found
    pause = FIRST
    while not store.check([turn]):
        time.sleep(pause)
        pause = min(2 * pause, LONGEST)
    said = store.get(turn)
    meet()
    if said != DONE:
        raise RunError(said.decode())
    return None


def first_to_tell() -> bool:
    """Whether no other process of this run has said yet why it ends: one sentence for all.

    Where that cannot be found out, each speaks: twice is better than not at all.
    """
    try:
        if world_asked() == 1:
            return True
        store = _store_of_launcher() or _store()
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        return bool(store.add(f"stillhouse-told-{attempt}", 1) == 1)
    except Exception:  # the variables are wrong, or whoever kept the store has ended
        return True


def _store() -> Any:
    """The key-value store that the process group has for itself."""
    import torch.distributed.distributed_c10d as distributed

    known: Any = distributed
    return known.PrefixStore("stillhouse", known._get_default_store())


def _store_of_launcher() -> Any:
    """The store of torchrun, which is there before and after the process group; else None."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return None
    import torch.distributed

    distributed: Any = torch.distributed
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return distributed.TCPStore(host, port, is_master=False, timeout=timedelta(seconds=5))
