"""How the cost of a teacher cache grows: with samples, with classes, with views.

    python benchmarks/growth.py          # writes benchmarks/results/growth.json and a picture

A convnet-16-32 teacher on random images of 32x32; seconds and bytes of the teacher cache, and
milliseconds to look a batch of 64 up (the median of fifty shuffled batches).
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from result_files import keep, picture
from stillhouse.cache import Replay, Storage, record
from stillhouse.data import Augment, Batches, ImageTable
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import Platform, open_platform
from stillhouse.models import build_model

PLAIN = {"samples": 4096, "classes": 100, "views": 2}
AXES: dict[str, list[dict[str, Any]]] = {
    "samples": [{"samples": n} for n in (1024, 2048, 4096, 8192, 16384, 32768)],
    "classes": [{"classes": c, "samples": 1024} for c in (10, 100, 1000, 10_000, 100_000)],
    "classes, top 50": [
        {"classes": c, "samples": 1024, "top": 50} for c in (100, 1000, 10_000, 100_000)
    ],
    "views": [{"views": v} for v in (1, 2, 4, 8, 16)],
}
LOOKUPS = 50


def cost(setting: Mapping[str, Any], platform: Platform) -> dict[str, float]:
    asked = {**PLAIN, **setting}
    made = torch.Generator().manual_seed(0)
    rows, classes = asked["samples"], asked["classes"]
    images = torch.randint(0, 256, (rows, 32, 32, 3), generator=made).to(torch.uint8)
    table = ImageTable(images, torch.randint(0, classes, (rows,), generator=made))
    data = Batches(table, Augment((0.5,) * 3, (0.25,) * 3, crop=4, flip=True), views=asked["views"])
    teacher = Role("teacher", build_model("convnet-16-32", classes=classes))
    storage = {"logits": Storage(top=asked.get("top"))}
    with tempfile.TemporaryDirectory() as folder:
        cache = record(
            teacher, ["logits"], data, Path(folder), {}, platform, storage=storage
        )  # fmt: skip
        replay = Replay("teacher", cache)
        batches = [batch for batch, _ in zip(_stream(data), range(LOOKUPS + 1), strict=False)]
        seconds = []
        for batch in batches:
            began = time.perf_counter()
            replay.run(batch)
            seconds.append(time.perf_counter() - began)
        return {
            **asked,
            "seconds": round(cache.seconds, 3),
            "bytes": cache.bytes,
            "lookup_ms": round(1000 * statistics.median(seconds[1:]), 4),
        }


def _stream(data: Batches):
    for epoch in range(10_000):
        yield from data.epoch(epoch)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    platform = open_platform(device="cpu", precision="fp32")
    cost({"samples": 1024}, platform)  # warms up
    found: dict[str, list[dict[str, float]]] = {}
    for axis, settings in AXES.items():
        found[axis] = [cost(setting, platform) for setting in settings]
        for one in found[axis]:
            print(axis, one, flush=True)
        keep(
            "growth", "cost of a teacher cache: seconds, bytes, milliseconds per lookup", axes=found
        )
    draw(found)


def draw(found: Mapping[str, list[dict[str, float]]]) -> None:
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
    for panel, (quantity, label) in zip(
        panels,
        (
            ("seconds", "seconds to record"),
            ("bytes", "bytes on disk"),
            ("lookup_ms", "ms per lookup"),
        ),
        strict=True,
    ):
        for axis, points in found.items():
            along = axis.split(",")[0]
            start = points[0][along]
            panel.plot(
                [p[along] / start for p in points], [p[quantity] for p in points],
                marker="o", markersize=3, label=f"{axis}, from {start:g}",
            )  # fmt: skip
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xlabel("times the first")
        panel.set_ylabel(label)
        panel.spines[["top", "right"]].set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(picture("growth"), dpi=150)


if __name__ == "__main__":
    main()
