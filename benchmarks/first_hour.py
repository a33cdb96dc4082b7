"""The path of a stranger in an empty environment: install, own folder, own teacher, report, export.

    make package
    python benchmarks/first_hour.py --photos FOLDER    # writes benchmarks/results/first-hour.json

FOLDER has class folders, as flowers17/train has. Some of its images are the stranger's own folder,
and the teacher is a network of timm that the stranger has trained before, here for a minute from
random weights by a script of their own. Every command is typed as the page docs/first-hour.md shows
it; its seconds and its exit code are kept, and nothing else helps it along.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from result_files import ROOT, keep

CLASSES, TRAINED = 5, 48
PACKAGES = "timm torchvision onnx onnxscript onnxruntime"
TEACHER = """
import timm, torch
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

torch.manual_seed(0)
look = v2.Compose([v2.Resize(48), v2.CenterCrop(48), v2.ToImage(),
                   v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.25] * 3)])
photos = torch.utils.data.DataLoader(ImageFolder("photos", look), batch_size=32, shuffle=True)
model = timm.create_model("resnet10t", num_classes=len(photos.dataset.classes))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for epoch in range(8):
    for image, label in photos:
        loss = torch.nn.functional.cross_entropy(model(image), label)
        optimizer.zero_grad(); loss.backward(); optimizer.step()
torch.save(model.state_dict(), "teacher.pth")
print(f"loss {loss.item():.2f}")
"""
DISTIL = (
    "stillhouse distill --data photos --set data.size=48 --teacher timm:resnet10t "
    "--teacher-weights teacher.pth --student resnet8 --epochs 10 --seeds 3 -o runs/photos"
)
STEPS = (
    ("the stranger's own script trains a teacher", "python teacher.py", False),
    ("distil", DISTIL, True),
    ("find the report", "stillhouse report runs/photos", True),
    ("ask the student", "stillhouse predict runs/photos photos/{one}", True),
    ("export it", "stillhouse export runs/photos --to onnx", True),
    ("use it without Stillhouse", "python runs/photos/student/predict.py photos/{one}", True),
)
"""What it is for, the command, and whether Stillhouse asks for it."""


def own_folder(photos: Path, place: Path) -> str:
    """Some class folders with some images each; gives the name of one image."""
    folders = sorted(each for each in photos.iterdir() if each.is_dir())[:CLASSES]
    names = []
    for folder in folders:
        (place / folder.name).mkdir(parents=True)
        for image in sorted(folder.iterdir())[:TRAINED]:
            shutil.copy(image, place / folder.name / image.name)
            names.append(f"{folder.name}/{image.name}")
    return names[0]


def typed(what: str, command: str, where: Path, programs: Path, *, ours: bool) -> dict[str, Any]:
    """Run a command in an environment; its seconds, exit code and last line."""
    began = time.perf_counter()
    environment = {"PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin", "HOME": str(where)}
    threads = os.environ.get("OMP_NUM_THREADS")  # one, where others share the machine
    environment |= {"OMP_NUM_THREADS": threads} if threads else {}
    done = subprocess.run(
        ["bash", "-c", command], cwd=where, env=environment, capture_output=True, text=True
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    seconds = time.perf_counter() - began
    print(f"{what}: {seconds:.0f} s, exit code {done.returncode}: {said[-1:]}", flush=True)
    if done.returncode:
        print("\n".join(said[-30:]), flush=True)
    return {
        "what": what,
        "command": command,
        "of_stillhouse": ours,
        "seconds": round(seconds, 1),
        "exit_code": done.returncode,
        "said": said[-6:],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True, help="class folders of images")
    parser.add_argument("--wheel", type=Path, default=next(ROOT.glob("dist/*.whl"), None))
    parser.add_argument(
        "--installed",
        nargs=2,
        metavar=("ENVIRONMENT", "SECONDS"),
        help="an environment in which the first command was timed before",
    )
    asked = parser.parse_args()
    install = f"python3 -m venv env && env/bin/pip install stillhouse {PACKAGES}"
    with tempfile.TemporaryDirectory() as home:
        place = Path(home)
        one = own_folder(asked.photos, place / "photos")
        (place / "teacher.py").write_text(TEACHER)
        if asked.installed:
            env, spent = Path(asked.installed[0]).resolve(), float(asked.installed[1])
            first = {"seconds": spent, "exit_code": 0, "said": [], "of_stillhouse": True}
            done = [{"what": "install", "command": install, **first}]
        else:
            env, wheel = place / "env", asked.wheel.resolve()
            exact = install.replace("install stillhouse", f"install -q {wheel}")
            first = typed("install", exact, place, Path("/usr/bin"), ours=True)
            done = [{**first, "command": install}]
        for what, command, ours in STEPS:
            done.append(typed(what, command.format(one=one), place, env / "bin", ours=ours))
        scores = json.loads((place / "runs/photos/scores.json").read_text("utf-8"))
        listed = subprocess.run(
            [env / "bin/python", "-m", "pip", "list", "--format=json"], capture_output=True
        )
    versions = {each["name"]: each["version"] for each in json.loads(listed.stdout)}
    wanted = ("stillhouse", "torch", *PACKAGES.split())
    ours = [each for each in done if each["of_stillhouse"]]
    keep(
        "first-hour",
        "the path of a stranger in an empty environment, command by command",
        command="python benchmarks/first_hour.py --photos FOLDER",
        steps=done,
        commands=len(ours),
        minutes=round(sum(each["seconds"] for each in ours) / 60, 1),
        errors=sum(each["exit_code"] != 0 for each in done),
        images=CLASSES * TRAINED,
        verdict=scores.get("verdict"),
        installed={name: versions.get(name) for name in wanted},
    )


if __name__ == "__main__":
    main()
