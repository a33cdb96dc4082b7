"""A teacher cache of 1e9 images on 64 nodes, on paper: bytes, requests, time, and where it breaks.

    python benchmarks/many_nodes.py          # writes benchmarks/results/many-nodes.json

Measured here: the requests that one shard costs (the recorder against a store that counts), the
seconds that recording adds to a teacher's pass, and the order of an epoch and its memory. What a
teacher, a store and a network are capable of is not ours to measure: they are parameters, and stand
in the result. A simulation, event by event (64 workers that claim shards, die, and come back),
checks the estimate `rows / (nodes x rate) + rows / shard x overhead / nodes` and says what deaths
cost.
"""

import argparse
import heapq
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from result_files import keep
from stillhouse.cache import Storage, record
from stillhouse.cache.leases import LASTS
from stillhouse.cache.record import BYTES_PER_SHARD, ROWS_PER_SHARD
from stillhouse.data import Augment, Batches, ImageTable
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import open_platform
from stillhouse.models import build_model
from stillhouse.records.local_copies import LocalCopies
from stillhouse.records.remote import Remote

ROWS, NODES = 1_000_000_000, 64
RATES = (500, 2000, 8000)
"""Images per second of one node's teacher: assumed, not measured."""
LATENCY = 0.05
"""Seconds of one request to a store: assumed."""
DEATHS, BACK = 24 * 3600.0, 600.0
"""Seconds between two deaths of a node on average, and until it is back: assumed."""
KINDS = {
    "logits of 1,000 classes, float32": (Storage(), (1000,)),
    "logits of 1,000 classes, float16": (Storage("float16"), (1000,)),
    "the 20 largest logits, float16": (Storage("float16", top=20), (1000,)),
    "an embedding of 512, float16": (Storage("float16"), (512,)),
    "a map of 512 x 7 x 7, float16": (Storage("float16"), (512, 7, 7)),
}


def counted(shards: int) -> tuple[Counter[str], float]:
    """Requests of one worker that records so many shards, and seconds beside the teacher."""
    from fsspec.implementations.memory import MemoryFileSystem

    asked = Counter[str]()
    MemoryFileSystem.store.clear()
    kept = {}
    kinds = {
        "find": "list",
        "info": "head",
        "cat_file": "get",
        "pipe_file": "put",
        "rm_file": "delete",
    }
    for name, kind in kinds.items():
        kept[name] = getattr(MemoryFileSystem, name)

        def call(
            store: Any, *args: Any, _of: Any = kept[name], _kind: str = kind, **more: Any
        ) -> Any:
            asked[_kind] += 1
            return _of(store, *args, **more)

        setattr(MemoryFileSystem, name, call)
    per_shard = sys.modules["stillhouse.cache.record"].ROWS_PER_SHARD
    sys.modules["stillhouse.cache.record"].ROWS_PER_SHARD = 64
    try:
        rows = 64 * shards
        images = torch.zeros(rows, 4, 4, 1, dtype=torch.uint8)
        table = ImageTable(images, torch.zeros(rows, dtype=torch.int64))
        data = Batches(table, Augment((0.5,), (0.25,)), batch_size=64, views=1)
        role = Role("teacher", build_model("convnet-4-8", classes=10, channels=1))
        with tempfile.TemporaryDirectory() as copies:
            place = Remote("memory://count", LocalCopies(Path(copies), 10**9))
            record(role, ["logits"], data, place, {"of": "paper"}, open_platform(device="cpu"))
    finally:
        sys.modules["stillhouse.cache.record"].ROWS_PER_SHARD = per_shard
        for name, was in kept.items():
            setattr(MemoryFileSystem, name, was)
        MemoryFileSystem.store.clear()
    return asked, 0.0


def per_shard() -> dict[str, float]:
    """Requests that one more shard costs: the slope between two recordings."""
    few, many = counted(8)[0], counted(40)[0]
    return {kind: round((many[kind] - few[kind]) / 32, 2) for kind in sorted(many)}


def encoding_rate() -> float:
    """Bytes per second at which values become a shard with its checksum (one thread)."""
    from stillhouse.records.sealed import SealedNames, sealed_content

    value = torch.randn(ROWS_PER_SHARD, 1000)
    names, seconds = SealedNames("view-{:04d}-row-{:08d}"), []
    for number in range(5):
        began = time.process_time()
        _, content = sealed_content(names, (0, number), Storage().encode(value), {})
        seconds.append(time.process_time() - began)
    return len(content) / statistics.median(seconds)


def order_costs(rows: int) -> dict[str, float]:
    """Seconds and bytes per row of the order of an epoch, in a process of its own."""
    code = (
        "import resource, time; from stillhouse.data.views import shuffled; shuffled(0, 0, 10);"
        "a = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; t = time.process_time();"
        f"shuffled(0, 0, {rows}); t = time.process_time() - t;"
        "print(t, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - a) * 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, size = map(float, done.stdout.split())
    return {"rows": rows, "cpu_seconds": round(seconds, 2), "bytes_per_row": round(size / rows, 1)}


def simulated(shards: int, seconds: float, nodes: int, seed: int, deaths: float) -> float:
    """Seconds until all shards are there: workers claim, die, come back, take over after a lease.

    A shard whose worker died is free again when its lease has run out.
    """
    drawn = random.Random(seed)
    free = [(0.0, node) for node in range(nodes)]
    heapq.heapify(free)
    waiting = list[tuple[float, int]]()  # (when it may be taken again, shard)
    left, done, end = shards, 0, 0.0
    dies = [drawn.expovariate(1 / deaths) for _ in range(nodes)]
    while done < shards:
        now, node = heapq.heappop(free)
        if waiting and (waiting[0][0] <= now or not left):
            now = max(now, heapq.heappop(waiting)[0])
        elif left:
            left -= 1
        else:  # all is claimed; what others hold may come back
            continue
        needs = seconds * drawn.uniform(0.9, 1.1)
        if dies[node] < now:
            dies[node] = now + drawn.expovariate(1 / deaths)
        if dies[node] < now + needs:
            at = dies[node]
            heapq.heappush(waiting, (at + LASTS, 0))
            dies[node] = at + BACK + drawn.expovariate(1 / deaths)
            heapq.heappush(free, (at + BACK, node))
            continue
        done += 1
        end = max(end, now + needs)
        heapq.heappush(free, (now + needs, node))
    return end


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = range(parser.parse_args().seeds)
    asked, rate = per_shard(), encoding_rate()
    overhead = sum(asked.values()) * LATENCY
    kinds = []
    for name, (storage, shape) in KINDS.items():
        each = storage.bytes_per_sample(shape)
        rows = min(ROWS_PER_SHARD, BYTES_PER_SHARD // each)
        shards = -(-ROWS // rows)
        kinds.append({
            "what": name, "bytes_per_image": each, "terabytes_per_view": ROWS * each / 1e12,
            "rows_per_shard": rows, "shards_per_view": shards,
            "requests_per_view": round(shards * sum(asked.values())),
            "encoding_seconds_per_shard": round(rows * each / rate, 3),
        })  # fmt: skip
    runs = []
    for per_node in RATES:
        for kind in (kinds[0], kinds[2], kinds[4]):
            seconds = (kind["rows_per_shard"] / per_node + overhead
                       + kind["encoding_seconds_per_shard"])  # fmt: skip
            estimate = kind["shards_per_view"] * seconds / NODES
            shards = min(kind["shards_per_view"], 100_000)  # the rest is the same again
            part = shards / kind["shards_per_view"]
            alive = [simulated(shards, seconds, NODES, seed, 1e12) for seed in seeds]
            dying = [simulated(shards, seconds, NODES, seed, DEATHS) for seed in seeds]
            runs.append({
                "images_per_second_of_a_node": per_node, "what": kind["what"],
                "hours_estimated": round(estimate / 3600, 2),
                "hours_simulated": round(statistics.mean(alive) / part / 3600, 2),
                "hours_simulated_with_deaths": round(statistics.mean(dying) / part / 3600, 2),
                "share_simulated": round(part, 4),
                "megabytes_per_second_of_a_node": round(
                    kind["rows_per_shard"] * kind["bytes_per_image"] / seconds / 1e6, 1),
                "requests_per_second_of_all": round(NODES * sum(asked.values()) / seconds, 1),
            })  # fmt: skip
            print(runs[-1], flush=True)
    keep(
        "many-nodes",
        f"{ROWS:.0e} images on {NODES} nodes, one view; rates of a teacher, {LATENCY} s for a "
        f"request, a death per node and {DEATHS / 3600:.0f} h and {BACK / 60:.0f} min until it is "
        "back are assumed; requests, encoding and orders are measured",
        requests_per_shard=asked,
        encoding_megabytes_per_second=round(rate / 1e6, 1),
        kinds=kinds,
        runs=runs,
        orders=[order_costs(rows) for rows in (1_000_000, 10_000_000, 30_000_000)],
    )


if __name__ == "__main__":
    main()
