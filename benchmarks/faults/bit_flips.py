"""Flip single bits of files that were written, and see whether another result is accepted.

    python benchmarks/faults/bit_flips.py       # writes benchmarks/results/bit_flips.json

A finished run, the teachers, controls and caches beside it, a fit with its checkpoint, a study and
a synthesis of digits, all tiny. Each flip is one seeded bit of one file; then whoever reads the
file does so again. It is refused, or harmless (the same result), or accepted with another result,
which is a defect.
"""

import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from result_files import keep
from stillhouse.data.sources.synthesis import read_synthesis
from stillhouse.engine.fit import fit
from stillhouse.engine.platform import open_platform
from stillhouse.engine.trainer import Settings
from stillhouse.errors import StillhouseError
from stillhouse.methods import plain
from stillhouse.models import build_model, weights_fingerprint
from stillhouse.recipes import make_recipe, make_study
from stillhouse.report import read_run
from stillhouse.runs.run import prepare, run
from stillhouse.studies.study import prepare_study, run_study
from stillhouse.synthesis import make_gallery, read_gallery, synthesize

FLIPS, SEED = 300, 7
RECIPE: dict[str, Any] = {
    "data": {"source": "digits", "limit": 128, "views": 1, "augment": "none"},
    "teacher": "mlp-16",
    "student": "mlp-8",
    "epochs": 1,
    "seeds": 1,
    "batch": 32,
    "device": "cpu",
    "precision": "fp32",
    "cache": {"use": "always"},
}
STUDY = {**{key: value for key, value in RECIPE.items() if key != "cache"}, "arms": {
    "kd": {"method": "kd"}, "dkd": {"method": "dkd"}}}  # fmt: skip
LEFT_OUT = ("report.html", ".lock")
Look = Callable[[], Any]


def main() -> None:
    torch.set_num_threads(1)
    choose, counted, defects = random.Random(SEED), Counter[str](), list[str]()
    by_name = Counter[tuple[str, str]]()
    with tempfile.TemporaryDirectory() as folder:
        looks = made(Path(folder))
        files = {path: look for place, look in looks.items() for path in files_of(place)}
        right = {look: look() for look in dict.fromkeys(looks.values())}
        shutil.rmtree(Path(folder) / "runs/two")
        whole = {path: path.read_bytes() for path in files_of(Path(folder))}
        some = sorted(path for path in files if whole[path])
        for number in range(FLIPS):
            path = some[number % len(some)]  # each file gets its share of the flips
            content, bit = bytearray(whole[path]), choose.randrange(8 * len(whole[path]))
            content[bit // 8] ^= 1 << bit % 8
            path.write_bytes(content)
            found = outcome(files[path], right[files[path]])
            counted[found] += 1
            by_name[path.relative_to(folder).parts[0] + "/" + path.name[:12], found] += 1
            if found not in ("refused", "harmless"):
                defects.append(f"{path.relative_to(folder)}, bit {bit}: {found}")
                print(defects[-1], flush=True)
            restore(Path(folder), whole)
            if (number + 1) % 50 == 0:
                print(number + 1, dict(counted), flush=True)
    kinds = dict(sorted(Counter(path.suffix for path in some).items()))
    keep(
        "bit_flips",
        "one flipped bit of one written file at a time, and what its readers made of it",
        flips=FLIPS,
        files=len(some),
        files_by_suffix=kinds,
        harmless_in={
            name: n for (name, found), n in sorted(by_name.items()) if found == "harmless"
        },
        refused=counted["refused"],
        harmless_same_result=counted["harmless"],
        accepted_with_another_result=counted["another result"],
        tracebacks=sum(n for name, n in counted.items() if name.startswith("traceback")),
        defects=defects,
    )


def outcome(look: Look, right: Any) -> str:
    try:
        return "harmless" if look() == right else "another result"
    except StillhouseError:
        return "refused"
    except Exception as error:
        return f"traceback {type(error).__name__}: {error}"


def files_of(place: Path) -> list[Path]:
    return [p for p in place.rglob("*") if p.is_file() and p.name not in LEFT_OUT
            and p.suffix != ".lock"]  # fmt: skip


def restore(folder: Path, whole: dict[Path, bytes]) -> None:
    for path in files_of(folder):
        if path not in whole:
            path.unlink()
    for path, content in whole.items():
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def made(folder: Path) -> dict[Path, Look]:
    """Everything that is written, by its directory, with who reads it again."""
    teacher = build_model("mlp-16", classes=10, channels=1, size=8)

    def finished() -> Any:
        done = run(prepare(make_recipe(RECIPE), folder / "runs/one"))
        record = read_run(folder / "runs/one")
        epochs = [epoch.plain() for epoch in record.epochs]
        return done.scores, weights_fingerprint(done.student), epochs, record.missing

    def beside() -> Any:
        """Another run takes its teacher, control and cache; its student is trained anew."""
        shutil.rmtree(folder / "runs/two", ignore_errors=True)
        done = run(prepare(make_recipe(RECIPE), folder / "runs/two"))
        tests = [[one["test"] for one in model["runs"]] for model in done.scores["models"]]
        return weights_fingerprint(done.student), tests

    def stopped() -> Any:
        rows = [(torch.ones(4) * at, at % 2) for at in range(16)]
        torch.manual_seed(0)
        net = torch.nn.Linear(4, 2)
        settings = Settings(epochs=2, seed=0, checkpoint_seconds=0.0)
        fitted = fit(plain(net), rows, batch_size=8, settings=settings,
                     platform=open_platform(device="cpu"), directory=folder / "fit",
                     identity="tiny")  # fmt: skip
        return weights_fingerprint(fitted.last["student"]), len(fitted.history)

    def compared() -> Any:
        return run_study(prepare_study(make_study(STUDY), folder / "studies/one")).table

    def synthetic() -> Any:
        torch.manual_seed(1)
        out = folder / "set"
        synthesize(teacher, method={"name": "zero_shot", "steps": 2}, count=24, device="cpu",
                   image_shape=(1, 8, 8), out=out)  # fmt: skip
        if not (out / "transfer.json").exists():
            make_gallery(out).write(out)
        gallery, table = read_gallery(out), read_synthesis(out).parts["train"]
        seen = {"image": table.images, "label": table.labels, "first": gallery.impression}
        return weights_fingerprint(seen), gallery.facts.plain()

    for look in (finished, beside, stopped, compared, synthetic):
        look()
    return {folder / "runs/one": finished, folder / "runs/shared": beside, folder / "fit": stopped,
            folder / "studies/one": compared, folder / "set": synthetic}  # fmt: skip


if __name__ == "__main__":
    main()
