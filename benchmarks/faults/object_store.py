"""A teacher cache on an S3 server that fails in every way that it can: what happened, and the bits.

    python benchmarks/faults/object_store.py     # writes benchmarks/results/object-store.json

A small convnet over 256 images, two views, eight shards. Each case records to a fresh address of a
real server (moto's, on this machine) while something goes wrong, reads all of it through an empty
folder of copies, and compares every value with a teacher cache that was recorded to the disk.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from faulty_store import FaultyStore

from result_files import keep
from stillhouse.cache import Leases, TeacherCache, open_cache, record
from stillhouse.cache.remote_shards import RemoteShards
from stillhouse.data import Augment, Batches, ImageTable
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import open_platform
from stillhouse.errors import CacheError, SystemFault
from stillhouse.models import build_model
from stillhouse.records.local_copies import LocalCopies
from stillhouse.records.remote import Remote

ROWS, VIEWS, PER_SHARD = 256, 2, 64
IDENTITY = {"of": "the benchmark of object stores"}
Answer = torch.Tensor


def recorded(place: Path | Remote, leases: Leases | None = None, **given: Any) -> TeacherCache:
    sys.modules["stillhouse.cache.record"].ROWS_PER_SHARD = PER_SHARD
    made = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (ROWS, 8, 8, 3), generator=made).to(torch.uint8)
    table = ImageTable(images, torch.randint(0, 10, (ROWS,), generator=made))
    data = Batches(table, Augment((0.5,) * 3, (0.25,) * 3, crop=1, flip=True), views=VIEWS)
    torch.manual_seed(0)
    teacher = Role("teacher", build_model("convnet-4-8", classes=10))
    platform = open_platform(device="cpu", precision="fp32")
    return record(teacher, ["logits"], data, place, IDENTITY, platform, leases=leases, **given)


def answer(cache: TeacherCache) -> Answer:
    every = torch.arange(ROWS)
    return torch.stack([cache.parts["logits"].gather(view, every) for view in range(VIEWS)])


class Bench:
    """One server, one folder, and the answer that all others must equal."""

    def __init__(self, store: FaultyStore, folder: Path) -> None:
        self.store, self.folder, self.number = store, folder, 0
        self.right = answer(recorded(folder / "here"))

    def place(self) -> Remote:
        """A fresh address with an empty folder of copies."""
        self.number += 1
        return self.at(f"s3://{self.store.bucket}/case-{self.number}", self.number)

    def at(self, address: str, copies: int) -> Remote:
        """An address with a folder of copies of this number."""
        return Remote(address, LocalCopies(self.folder / f"copies-{copies}", 10**6))

    def again(self, place: Remote) -> TeacherCache:
        """The cache as somebody on another machine opens it."""
        self.number += 1
        return open_cache(self.at(place.address, self.number), IDENTITY, ["logits"], VIEWS)

    def equal(self, place: Remote) -> bool:
        """Whether what is read there by somebody else is the answer."""
        return torch.equal(answer(self.again(place)), self.right)


def shards(place: Remote) -> list[str]:
    return [name for name in place.sizes() if name.endswith(".safetensors")]


def failing(fault: str, every: int, method: str = "") -> Callable[[Bench], tuple[str, bool]]:
    """A case in which each n-th request fails, of writing and of reading."""

    def case(bench: Bench) -> tuple[str, bool]:
        place = bench.place()
        bench.store.fail(fault, every=every, method=method)
        try:
            recorded(place)
            equal = bench.equal(place)
        finally:
            failed = bench.store.failed
            bench.store.fail()
        return f"{failed} requests failed and were tried again; {len(shards(place))} shards", equal

    return case


def healthy(bench: Bench) -> tuple[str, bool]:
    place = bench.place()
    recorded(place)
    return f"{len(shards(place))} shards, {VIEWS} manifests", bench.equal(place)


def gone(bench: Bench) -> tuple[str, bool]:
    place = bench.place()
    bench.store.stop()
    try:
        recorded(Remote(place.address, place.copies, lambda _: None))
        said = "nothing was said"
    except SystemFault as error:
        said = str(error).split(" (")[0].removeprefix(place.address).strip()
    bench.store.start()
    recorded(place)
    return f"told: '{said}'; back again, the same call records", bench.equal(place)


def killed(bench: Bench) -> tuple[str, bool]:
    """A process that kills itself when all shards are there and no manifest is."""
    place = bench.place()
    environment = {**os.environ, **bench.store.environment}
    code = subprocess.run([sys.executable, __file__, "--die-at", place.address],
                          env=environment, check=False).returncode  # fmt: skip
    before = shards(place)
    manifests = [name for name in place.sizes() if "/view-" in name and name.endswith(".json")]
    try:
        bench.again(place)
        read = "read by somebody"
    except CacheError:
        read = "refused to readers"
    recorded(place)
    return (
        f"exit {code}; {len(before)} shards and {len(manifests)} manifests, {read}; the same call "
        f"wrote {len(shards(place)) - len(before)} shards more and the manifests",
        code == -signal.SIGKILL and not manifests and bench.equal(place),
    )


def die_at(address: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        RemoteShards.finish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore
        recorded(Remote(address, LocalCopies(Path(folder), 10**6)))


class Overtaken(Leases):
    """A worker so slow that its lease runs out while another records everything."""

    meanwhile: Callable[[], Any] = staticmethod(lambda: None)

    def renew(self) -> None:
        """Nothing of its own."""
        others, self.meanwhile = self.meanwhile, lambda: None
        others()


def two_writers(bench: Bench) -> tuple[str, bool]:
    place, times = bench.place(), [time.time()]

    def wait(_: float) -> None:
        times[0] += 100

    slow = Overtaken(place, now=lambda: times[0], pause=wait)
    slow.meanwhile = lambda: recorded(place, Leases(place, now=lambda: times[0], pause=wait))
    recorded(place, slow)
    return f"both wrote it; {len(shards(place))} shards", bench.equal(place)


def at_once(bench: Bench) -> tuple[str, bool]:
    """Eight puts of one shard at the same moment, through eight connections."""
    place, content, ready = bench.place(), b"a shard" * 10_000, threading.Barrier(8)
    told: list[bool] = []

    def put() -> None:
        ready.wait()
        (place / "shard").put_once(content)
        told.append(True)

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = (place / "shard").read_bytes() == content
    return f"{len(place.sizes())} object; {sum(told)} ended well", whole


def other_bits(bench: Bench) -> tuple[str, bool]:
    """A shard of another machine's rounding comes after the manifest, with a smaller name."""
    place = bench.place()
    recorded(place)
    name = shards(place)[0]
    other = name[: name.rindex("-") + 1] + "0" * 16 + ".safetensors"
    (place / other).write_bytes(b"0" * place.sizes()[name])
    return f"{len(shards(place))} objects, readers follow the manifest", bench.equal(place)


def damaged(bench: Bench) -> tuple[str, bool]:
    place = bench.place()
    recorded(place)
    name = shards(place)[0]
    content = (place / name).read_bytes()
    (place / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        bench.equal(place)
        said = "accepted"
    except CacheError:
        said = "refused by name"
    (place / name).unlink()
    recorded(place)
    return f"one bit flipped: {said}; removed, the same call records it anew", bench.equal(place)


CASES: dict[str, Callable[[Bench], tuple[str, bool]]] = {
    "none": healthy,
    "each 5th connection dropped": failing("drop", 5),
    "each 3rd answer to a put lost": failing("lose", 3, "PUT"),
    "each 3rd answer to a get cut short": failing("cut", 3, "GET"),
    "each 15th answer slower than the client waits": failing("slow", 15),
    "each 4th request told to slow down (503)": failing("busy", 4),
    "the server gone, then back": gone,
    "a writer killed between shards and manifest": killed,
    "two writers of one shard, one of them overtaken": two_writers,
    "eight puts of one shard at once": at_once,
    "a shard of other bits beside one of the manifest": other_bits,
    "a damaged shard": damaged,
}


def main() -> None:
    if sys.argv[1:2] == ["--die-at"]:
        die_at(sys.argv[2])
        return
    rows = []
    with FaultyStore() as store, tempfile.TemporaryDirectory() as folder:
        bench = Bench(store, Path(folder))
        for fault, case in CASES.items():
            began = time.perf_counter()
            happened, equal = case(bench)
            seconds = round(time.perf_counter() - began, 2)
            rows.append(
                {"fault": fault, "what happened": happened, "answer equal": equal,
                 "seconds": seconds}
            )  # fmt: skip
            print(rows[-1], flush=True)
    keep(
        "object-store",
        "a teacher cache on an S3 server (moto) while something goes wrong; seconds with other "
        "work on the machine",
        all_equal=all(row["answer equal"] for row in rows),
        faults=rows,
    )


if __name__ == "__main__":
    main()
