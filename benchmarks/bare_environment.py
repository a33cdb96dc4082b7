"""Students used where Stillhouse is not: by torch and Pillow, and by onnxruntime in float and int8.

    python benchmarks/bare_environment.py --torch PYTHON --onnxruntime PYTHON
    python -m venv a && a/bin/pip install torch pillow --index-url https://download.pytorch.org/whl/cpu
    python -m venv b && b/bin/pip install onnxruntime pillow

The two Pythons are of environments that hold no more than that, as benchmarks/bare/*.py make sure.
Three students are trained, for a few epochs, and exported by the commands; their folders are then
copied to a new place and used from yet another directory, on all test images as files. This
environment needs timm, onnx and onnxruntime, and the data of ../shared/data or of --data.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import stillhouse as sh
from bare.recipes import SETTINGS, data_of, recipes
from bare.student import Student, Told, compared, decided
from result_files import RESULTS, ROOT, keep
from stillhouse.deploy.kept_rows import ANSWERS, TAKEN, kept_rows

HERE, RESULT = ROOT / "benchmarks" / "bare", "bare-environment"
BY_PREDICT = 64
"""Images that predict.py is asked about, one by one; it loads the program once."""
FORMS = ("pt2", "onnx", "onnx-int8")


def exported(student: Student) -> dict[str, list[str]]:
    """The folder as ONNX files, by the commands; what they said."""
    said = {}
    for form, options in (("onnx", []), ("onnx-int8", ["--int8"])):
        file = student.home / f"{form}.onnx"
        told = ran([sys.executable, "-m", "stillhouse", "export", str(student.run), "--to", "onnx",
                    "-o", str(file), *options], None)  # fmt: skip
        said[form] = [line.replace(str(file), file.name) for line in told.splitlines()]
    return said


def ran(command: list[str], where: Path | None) -> str:
    """What a command says, in a directory; its errors end this one."""
    done = subprocess.run(command, cwd=where, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:6])} ...: {done.stderr or done.stdout}")
    return done.stdout


def used(student: Student, pythons: dict[str, str], elsewhere: Path) -> None:
    """Ask each form of the student about all test images, in an environment of its own."""
    listed, inside = student.folder / "images.json", student.home / "student"
    listed.write_text(json.dumps(student.images))
    for form in FORMS:
        if form == "pt2":
            out, script, file = student.folder / "outputs.pt", "with_torch.py", inside / "model.pt2"
            given = [inside, listed, out]
        else:
            out, script = student.folder / f"{form}.npy", "with_onnxruntime.py"
            file = student.home / f"{form}.onnx"
            given = [file, inside / "config.json", listed, out]
        python = pythons["torch" if form == "pt2" else "onnxruntime"]
        said = ran([python, "-I", str(HERE / script), *map(str, given)], elsewhere)
        found = torch.load(out) if form == "pt2" else torch.from_numpy(np.load(out))
        student.forms[form] = Told(found, json.loads(said), file.stat().st_size)


def by_predict(student: Student, python: str, elsewhere: Path, wanted: Tensor) -> dict[str, Any]:
    """What predict.py prints of single images, and of two, beside the student's own answers."""
    script, names = str(student.home / "student" / "predict.py"), student.images[:BY_PREDICT]
    lines = [
        line.split("\t") for line in ran([python, "-I", script, *names], elsewhere).splitlines()
    ]
    if student.classifies:
        own = list(student.predictor.told(names, wanted[: len(names)]))
        apart = max(
            abs(float(line[2]) - one.probability) for line, one in zip(lines, own, strict=True)
        )
        same = sum(line[1] == one.label for line, one in zip(lines, own, strict=True))
        return {"images": len(lines), "same": same, "largest_difference": apart}
    said = torch.tensor([[float(value) for value in line[1].split()] for line in lines])
    apart = float((said - wanted[: len(said)]).abs().max())
    pairs, at = student.splits.pairs["test"], {True: 0, False: 0}
    for same in at:  # a pair of one person, and one of two
        row = int(np.flatnonzero(pairs.same == same)[0])
        two = [int(pairs.first[row]), int(pairs.second[row])]
        told = ran([python, "-I", script, *(student.images[each] for each in two)], elsewhere)
        own = student.predictor.compared(wanted[two[0]], wanted[two[1]])
        at[same] = int(told.startswith("same") == own.same)
    return {"images": len(lines), "largest_difference": apart, "pairs": 2, "same": sum(at.values())}


def shown(name: str, recipe: dict[str, Any], pythons: dict[str, str], out: Path) -> dict[str, Any]:
    """Train, export, take home, use and compare one student."""
    folder, elsewhere = out / name, out / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir(exist_ok=True)
    sh.distill(out=folder / "run", **SETTINGS, **recipe)
    student = Student(folder / "run", data_of(recipe), folder)
    said = exported(student)
    used(student, pythons, elsewhere)
    wanted = student.own()
    taken, answers = (kept_rows(student.run, student.predictor, each) for each in (TAKEN, ANSWERS))
    scores = json.loads((student.run / "scores.json").read_text("utf-8"))
    model = next(each for each in scores["models"] if each["role"] == "student")
    return {
        "data": name,
        "student": model["model"],
        "title": student.predictor.config.title,
        "epochs": recipe["epochs"],
        "parameters": model["parameters"],
        "images": len(student.images),
        "what": "classes" if student.classifies else "pairs, same or different",
        "figure": student.figure,
        "said_by_the_run": {scores["task"]["metric"]["name"]: model["runs"][0]["test"]["last"]},
        "test": decided(student, wanted)[1],
        "scale": float(wanted.abs().max()),
        "from_its_training": float((student.predictor.outputs(taken) - answers).abs().max()),
        "forms": compared(student, wanted),
        "predict.py": by_predict(student, pythons["torch"], elsewhere, wanted),
        "export_said": said,
        "installed": {
            form: told.installed for form, told in student.forms.items() if form != "onnx-int8"
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--torch", required=True, help="a Python with torch and Pillow alone")
    parser.add_argument("--onnxruntime", required=True, help="one with onnxruntime and Pillow")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--only", nargs="*", help="train these; the others stay as they are kept")
    asked = parser.parse_args()
    pythons = {"torch": asked.torch, "onnxruntime": asked.onnxruntime}
    torch.set_num_threads(1)
    known = recipes(asked.data.resolve())
    # Of a folder that is removed: no picture of a face stays anywhere.
    with tempfile.TemporaryDirectory() as out:
        for name in asked.only or known:
            kept(name, shown(name, known[name], pythons, Path(out)), list(known))


def kept(name: str, found: dict[str, Any], names: list[str]) -> None:
    """Write a student into the result file, beside those that are there."""
    path = RESULTS / f"{RESULT}.json"
    before = json.loads(path.read_text("utf-8"))["students"] if path.is_file() else []
    students = {each["data"]: each for each in before} | {name: found}
    keep(
        RESULT,
        "students used in environments without Stillhouse, on all test images as files",
        command="python benchmarks/bare_environment.py --torch PYTHON --onnxruntime PYTHON",
        students=[students[each] for each in names if each in students],
    )
    print(json.dumps(found["forms"], indent=1), flush=True)


if __name__ == "__main__":
    main()
