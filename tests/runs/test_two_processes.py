"""Whole commands by two processes: nothing waits for ever, and what is made is what one makes."""

from pathlib import Path

import torch
from ranks import launch
from safetensors.torch import load_file

from stillhouse.models import build_model
from stillhouse.synthesis import synthesize

RECIPE = """
data: {source: digits, limit: 64}
teacher: convnet-4-4
student: convnet-4-4
transfer: {method: {name: zero_shot, steps: 3}, count: 16}
epochs: 1
batch: 16
seeds: 1
control: false
precision: fp32
"""
SCRIPT = """
import os, sys
from pathlib import Path
import torch
from stillhouse.cli.boundary import guarded
from stillhouse.cli.app import app

torch.set_num_threads(1)
os.chdir(sys.argv[1])
rank = os.environ.get("RANK", "0")
sys.stdout, sys.stderr = open(f"out{rank}", "w"), open(f"err{rank}", "w")

def call(*arguments):
    sys.argv[1:] = list(arguments)
    code = guarded(app, sys.argv[1:])
    assert code == 0, code

call("run", "recipe.yaml", "-o", "runs/one")
(teacher,) = Path("runs/shared").glob("teacher-*/student.safetensors")
call("synthesize", str(teacher), "--model", "convnet-4-4", "--shape", "1,8,8", "-o", "made",
     "--count", "16", "--set", "steps=3", "--device", "cpu")
"""


def images(folder: Path) -> torch.Tensor:
    (rows,) = folder.glob("rows-*.safetensors")
    return load_file(rows)["image"]


def test_a_run_with_a_transfer_set_and_a_synthesis(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    launch(2, SCRIPT, tmp_path)
    (transferred,) = tmp_path.glob("runs/shared/transfer-*/")
    assert len(images(transferred)) == 16
    assert (tmp_path / "runs/one/report.html").is_file()
    teacher = build_model("convnet-4-4", classes=10, channels=1, size=8)
    (weights,) = tmp_path.glob("runs/shared/teacher-*/student.safetensors")
    teacher.load_state_dict(load_file(weights))
    by_one = synthesize(teacher, method={"name": "zero_shot", "steps": 3}, count=16,
                        image_shape=(1, 8, 8), out=tmp_path / "by_one", device="cpu")  # fmt: skip
    torch.testing.assert_close(images(tmp_path / "made"), images(by_one.directory))
    told = [(tmp_path / name).read_text() for name in ("out0", "out1", "err0", "err1")]
    assert told[0].count("reading the test set, once") == 1
    assert "one of 2 processes makes the images; the others wait" in told[0]
    assert told[1:] == ["", "", ""], "one speaks for all"
