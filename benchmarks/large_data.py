"""Data larger than a machine should hold: peak memory and disk of training on them.

    python benchmarks/large_data.py          # writes benchmarks/results/large-folder.json

200,000 JPEG files (64 x 64, 2.3 GiB decoded, above the 2 GiB that are kept in memory) as class
folders, as 200 WebDataset archives on the disk, and as the same archives on an S3 server (moto's)
with room for 8 of them. Each is loaded, and a small network trains on the front of an epoch, in a
process of its own; the archives twice, so that their index is remembered. Batches of the archives
on the store must be those of the archives on the disk, bit for bit.
"""

import argparse
import hashlib
import io
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import fsspec
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent / "faults"))
from faulty_store import FaultyStore

from result_files import keep
from stillhouse.data import Augment, Batches, load
from stillhouse.data.sources.archives import ArchiveSettings
from stillhouse.data.tables import SampleTable
from stillhouse.models import build_model
from streaming import CLASSES, MEBI, make, peak

PER_ARCHIVE, TOGETHER = 1000, 4
LOADERS, BATCH = 2, 128


def archives(folder: Path, place: Path) -> None:
    """The files of a folder of class folders in archives, in an order that mixes the classes."""
    files = sorted(folder.rglob("*.jpg"), key=lambda path: int(path.stem))
    place.mkdir()
    for number, start in enumerate(range(0, len(files), PER_ARCHIVE)):
        with tarfile.open(place / f"train-{number:04}.tar", "w") as tar:
            for path in files[start : start + PER_ARCHIVE]:
                label = path.parent.name.removeprefix("c").encode()
                for suffix, content in (("jpg", path.read_bytes()), ("cls", label)):
                    member = tarfile.TarInfo(f"{path.stem}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))


def train(source: str, images: int, copies: str, gigabytes: float) -> dict[str, Any]:
    """Load, and train on so many images, in this process."""
    before, began = peak(), time.perf_counter()
    asked = {"shuffle": TOGETHER} if "archives" in source else None
    if source.startswith("s3://"):
        asked = {"shuffle": TOGETHER, "local": Path(copies), "local_gb": gigabytes}
    splits = load(source, test=0, validation=0, archives=asked and ArchiveSettings(**asked))
    loaded, after = time.perf_counter() - began, peak()
    if not isinstance(splits.train, SampleTable):
        raise TypeError("the images were decoded into memory: make more of them")
    data = Batches(splits.train, Augment((0.5,) * 3, (0.25,) * 3, crop=4, flip=True),
                   batch_size=BATCH, workers=LOADERS)  # fmt: skip
    torch.manual_seed(0)
    network = build_model("convnet-8-16", classes=CLASSES)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05)
    digest, copied, began = hashlib.sha256(), 0, time.perf_counter()
    for step, batch in enumerate(data.epoch(0)):
        if step * BATCH >= images:
            break
        digest.update(batch["batch.image"].numpy().tobytes())
        loss = torch.nn.functional.cross_entropy(
            network(batch["batch.image"]), batch["batch.label"]
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 10 == 0 and copies:
            held = [path.stat().st_size for path in Path(copies).glob("[!.]*")]
            copied = max(copied, sum(held))
    return {
        "seconds_to_load": round(loaded, 1),
        "images": step * BATCH,
        "images_per_second": round(step * BATCH / (time.perf_counter() - began), 1),
        "peak_mib_before_load": before,
        "peak_mib_after_load": after,
        "peak_mib": peak(),
        "peak_mib_of_a_loader": round(
            resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / MEBI, 1
        ),
        "most_mib_of_copies": round(copied / MEBI**2, 1),
        "batches": digest.hexdigest()[:16],
        "last_loss": loss.item(),
    }


def alone(case: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """One case in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--case", *case], env=environment,
                          capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    print(case[0], found, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--images", type=int, default=50_000, help="of the epoch that are trained")
    parser.add_argument("--case", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        source, images, copies, gigabytes = arguments.case
        print(json.dumps(train(source, int(images), copies, float(gigabytes))))
        return
    busy, found = [os.getloadavg()[1]], {}
    with tempfile.TemporaryDirectory() as made, FaultyStore() as store:
        top = Path(made)
        folder, packed = top / "images", top / "archives"
        folder.mkdir()
        make(folder, arguments.files)
        archives(folder, packed)
        one = max(path.stat().st_size for path in packed.glob("*.tar"))
        room = 2 * TOGETHER * one / 1e9
        settings = store.settings
        settings["config_kwargs"] |= {"read_timeout": 60, "connect_timeout": 60}
        mine = {**os.environ, "XDG_CACHE_HOME": str(top / "cache"),
                "FSSPEC_S3": json.dumps(settings)}  # fmt: skip
        remote = fsspec.filesystem("s3")
        for path in packed.glob("*.tar"):
            remote.put_file(str(path), f"{store.bucket}/archives/{path.name}")
        cases = {
            "class folders": [str(folder), "", "0"],
            "archives on the disk": [str(packed), "", "0"],
            "archives on the disk, again": [str(packed), "", "0"],
            "archives on S3": [f"s3://{store.bucket}/archives", str(top / "copies"), str(room)],
        }
        cases["archives on S3, again"] = cases["archives on S3"]
        for name, (source, copies, gigabytes) in cases.items():
            case = [source, str(arguments.images), copies, gigabytes]
            found[name] = {"data": name, **alone(case, mine)}
            busy.append(os.getloadavg()[1])
        about = {
            "files": arguments.files,
            "mebibytes_of_archives": round(
                sum(path.stat().st_size for path in packed.glob("*.tar")) / MEBI**2, 1
            ),
            "mebibytes_of_room": round(room * 1e9 / MEBI**2, 1),
            "mebibytes_decoded": round(arguments.files * 64 * 64 * 3 / MEBI**2, 1),
        }
    kept = {run["batches"] for name, run in found.items() if name.startswith("archives")}
    keep(
        "large-folder",
        f"{arguments.files:,} JPEG files of 64 x 64, {LOADERS} loaders, the first "
        f"{arguments.images:,} images of an epoch; {TOGETHER} archives of {PER_ARCHIVE:,} images "
        "shuffled together; memory is the peak of a process in MiB, copies are of archives of the "
        "store; the machine was busy, so seconds say little",
        **about,
        rows=list(found.values()),
        batches_of_all_archives_equal=len(kept) == 1,
        load_averages=[round(value, 2) for value in busy],
    )


if __name__ == "__main__":
    main()
