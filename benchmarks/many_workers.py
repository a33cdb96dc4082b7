"""One teacher recorded by one worker, by two, and by two of which one is killed: bits and seconds.

    python benchmarks/many_workers.py          # writes benchmarks/results/many-workers.json
    python benchmarks/many_workers.py S3       # or 'disk', 'Ray': only those rows of it anew

Each worker is a process that runs ``stillhouse cache``, forked from one that has imported all; on
the disk, and on an S3 server (moto's) of this machine. On Ray one such process starts a cluster of
this machine, whose actors are the workers, and records to the disk. The bytes of all shards, of
part.json, of the manifests and of teacher-cache.json are compared with those that one worker has
left. Seconds are those of the whole command without imports: data, checks, recording, the look at
what is there, and of Ray its start and the imports of its actors.
"""

import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import fsspec
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent / "faults"))
from faulty_store import FaultyStore

from result_files import RESULTS, keep
from stillhouse.cache.leases import FOLDER
from stillhouse.records.local_copies import LocalCopies
from stillhouse.records.remote import Location, Remote

VIEWS = 12
RECIPE: dict[str, Any] = {
    "data": {"source": "digits", "views": VIEWS},
    "teacher": {"model": "resnet20", "epochs": 1},
    "student": "convnet-8-16",
    "method": "kd",
    "epochs": VIEWS,
    "precision": "fp32",
}
NAME = "many-workers"
LONGEST = 900
"""Seconds after which a worker is given up."""
PATIENCE = 60
"""Seconds that a worker waits for an answer of S3: no fault is asked for, but others work here."""
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["stillhouse.cli", "stillhouse.runs.caching", "stillhouse.runs.run"])


def work(arguments: list[str], environment: dict[str, str], log: Path) -> None:
    """The command in a process of its own."""
    from stillhouse.cli import main as command

    os.environ.update(environment)
    fsspec.config.set_conf_env(fsspec.config.conf)  # which were read when it was imported
    sys.argv = ["stillhouse", *arguments]
    with log.open("w") as sys.stdout:
        sys.stderr = sys.stdout
        command()


class Bench:
    """Recordings of one teacher, each at an address of its own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.rows: list[dict[str, Any]] = []

    def start(self, place: Location, worker: str, *how: str) -> BaseProcess:
        """A worker that records to a place; on a cluster if that is how."""
        recipe = self.folder / f"{len(self.rows)}.yaml"
        section = {"directory": str(place), "local": str(self.folder / "copies")}
        recipe.write_text(yaml.safe_dump({**RECIPE, "cache": section}))
        log = self.folder / f"{len(self.rows)}-{worker.replace('/', '-of-')}.log"
        how = how or ("--worker", worker)
        call = ["cache", str(recipe), *how, "-o", str(self.folder / "runs" / "kd")]
        process = FORKS.Process(target=work, args=(call, self.environment, log))
        process.start()
        return process

    def case(
        self, what: str, place: Location, workers: int, right: dict[str, bytes] | None,
        meanwhile: Callable[[list[BaseProcess]], None] = lambda _: None, on: tuple[str, ...] = (),
    ) -> dict[str, bytes]:  # fmt: skip
        """Record with so many workers, or one that has them on a cluster; gives what they left."""
        began = time.perf_counter()
        started = [
            self.start(place, f"{k + 1}/{workers}", *on) for k in range(1 if on else workers)
        ]
        meanwhile(started)
        for process in started:
            process.join(LONGEST)
        if on and started[0].exitcode == -signal.SIGKILL:  # the same command goes on
            started.append(self.start(place, "again", *on))
            started[-1].join(LONGEST)
        codes = [process.exitcode for process in started]
        seconds = round(time.perf_counter() - began, 1)
        found = kept(place)
        where = "S3" if isinstance(place, Remote) else "Ray" if on else "disk"
        self.rows.append(
            {"what": what, "where": where, "exits": codes,
             "shards": sum(name.endswith(".safetensors") for name in found),
             "leases left": sum(FOLDER in name for name in found),
             "bit-equal to one worker's": len(shards(found)) == VIEWS and right in (None, found),
             "seconds": seconds}
        )  # fmt: skip
        print(self.rows[-1], flush=True)
        if {*codes} - {0, -signal.SIGKILL}:
            for log in self.folder.glob(f"{len(self.rows) - 1}-*.log"):
                print(log.name, log.read_text()[-2000:], flush=True)
        return found


def kept(place: Location) -> dict[str, bytes]:
    """All files by name, but for what says how long a worker took, and the lock."""
    names = (
        [path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()]
        if isinstance(place, Path)
        else list(place.sizes())
    )
    wanted = [name for name in names if "seconds-" not in name and not name.endswith(".lock")]
    return {name: (place / name).read_bytes() for name in wanted}


def shards(found: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in found.items() if name.endswith(".safetensors")}


def kill_one(place: Location, *, driver: bool = False) -> Callable[[list[BaseProcess]], None]:
    """Kill the worker that holds a lease, once a few shards are there; or the one who has them."""

    def kill(started: list[BaseProcess]) -> None:
        until = time.monotonic() + LONGEST
        while time.monotonic() < until:
            held = [name for name in kept_names(place) if name.startswith(FOLDER)]
            done = sum(name.endswith(".safetensors") for name in kept_names(place))
            for name in held if done >= 2 else []:
                try:
                    number = json.loads((place / name).read_bytes())["process"][0]
                except (OSError, ValueError):
                    continue  # given back meanwhile
                above = {process.pid for process in started} & ancestors(number)
                if above:
                    os.kill(above.pop() if driver else number, signal.SIGKILL)
                    return
            time.sleep(0.2)
        raise RuntimeError("no worker held a lease")

    return kill


def ancestors(number: int) -> set[int]:
    """A process and those that it descends from."""
    found = {number}
    while number > 1:
        try:
            number = int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            break
        found.add(number)
    return found


def kept_names(place: Location) -> list[str]:
    if isinstance(place, Path):
        return [path.relative_to(place).as_posix() for path in place.rglob("*")]
    return list(place.sizes())


def on_ray(bench: Bench, folder: Path) -> None:
    """The rows of a cluster, beside one worker without it."""
    on = ("--on", "ray", "--workers", "2")
    right = bench.case("one worker", folder / "ray-one", 1, None)
    bench.rows.pop()
    bench.case("two workers", folder / "ray-two", 2, right, on=on)
    place = folder / "ray-killed"
    bench.case("two, one killed at work", place, 2, right, kill_one(place), on)
    place, kill = folder / "ray-driver", "the command killed, then given again"
    bench.case(kill, place, 2, right, kill_one(place, driver=True), on)


def main() -> None:
    only, path = sys.argv[1:2], RESULTS / f"{NAME}.json"
    before = json.loads(path.read_text())["workers"] if only else []
    rows = [row for row in before if row["where"] not in only]
    with FaultyStore(patience=PATIENCE) as store, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench = Bench(folder, store.environment)
        copies = LocalCopies(folder / "copies", 10**9)
        places: dict[str, Callable[[str], Location]] = {
            "disk": lambda case: folder / case,
            "S3": lambda case: Remote(f"s3://{store.bucket}/{case}", copies),
        }
        disk = shards(bench.case("trains the teacher, too", folder / "first", 1, None))
        for where in only or [*places, "Ray"]:
            if where == "Ray":
                on_ray(bench, folder)
                continue
            at = places[where]
            right = bench.case("one worker", at("one"), 1, None)
            bench.rows[-1]["shards equal to the disk's"] = shards(right) == disk
            bench.case("two workers", at("two"), 2, right)
            place = at("killed")
            bench.case("two, one killed at work", place, 2, right, kill_one(place))
    if only:
        bench.rows.pop(0)
    keep(
        NAME,
        f"stillhouse cache of resnet20 on digits, {VIEWS} views, a shard each; seconds of whole "
        "commands without imports, on two cores with other work on them",
        command="python benchmarks/many_workers.py",
        workers=rows + bench.rows,
    )


if __name__ == "__main__":
    main()
