"""A run whose student rounds: scores, files and fingerprints of its int8 form."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_net
from torch import Tensor, nn

import stillhouse as sh
from stillhouse.deploy.program import export
from stillhouse.errors import ModelError, RecipeError
from stillhouse.models import build_model
from stillhouse.recipes import make_recipe
from stillhouse.report.record import read_run
from stillhouse.report.rows import table_rows
from stillhouse.runs.job.networks import Network
from stillhouse.runs.job.watcher import SilentWatcher
from stillhouse.students.quantised import converted, load_integer, quantised

pytestmark = pytest.mark.programs

IMAGE = torch.zeros(1, 3, 8, 8)


class Said(SilentWatcher):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def rows(count: int) -> list[tuple[np.ndarray, int]]:
    made = np.random.default_rng(count)
    return [
        ((made.integers(0, 150, (8, 8, 3)) + 30 * (i % 3)).astype(np.uint8), i % 3)
        for i in range(count)
    ]


def prepared(image: np.ndarray) -> Tensor:
    return torch.as_tensor(image).float().permute(2, 0, 1) / 128 - 1


def distil(out: Path, student, method="kd", shown=None, **more):
    said = Said()
    given = {"control": True, "epochs": 3, "batch": 16, "seeds": 1, "precision": "fp32", **more}
    outcome = sh.distill(
        data={
            "source": (rows(80), rows(40)),
            "transform": prepared,
            "eval_transform": prepared,
            **(shown or {}),
        },
        teacher=tiny_net(6, 3),
        student=student,
        out=out,
        method=method,
        watcher=said,
        **given,
    )
    return outcome, said.warnings


def share(module: nn.Module, table) -> float:
    images = torch.stack([prepared(image) for image, _ in table])
    label = torch.tensor([label for _, label in table])
    with torch.no_grad():
        return (module(images).argmax(1) == label).float().mean().item()


SECTION = {"model": "convnet-4-8", "quantise": "int8"}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("int8") / "run"
    distil(out, dict(SECTION), shown={"validation": 0.25})
    return out


def fresh() -> nn.Module:
    return build_model("convnet-4-8", classes=3, channels=3)


def rounding() -> nn.Module:
    return quantised(fresh(), IMAGE)


def test_scores_are_those_of_the_files(run: Path) -> None:
    """Student (rounded), int8 and float, each from its file, on the test images."""
    student = rounding()
    model = json.loads((run / "scores.json").read_text())["models"][-1]
    (scores,) = model["runs"]
    for which, end in (("last", ""), ("best", "-best")):
        student.load_state_dict(load_file(run / f"student{end}.safetensors"))
        integers = load_integer(rounding(), run / f"student-int8{end}.safetensors")
        program = torch.export.load(run / f"student-int8{end}.pt2").module()
        assert share(student.eval(), rows(40)) == pytest.approx(scores["test"][which])
        assert share(integers, rows(40)) == pytest.approx(scores["heads"]["int8"][which])
        assert share(program, rows(40)) == pytest.approx(scores["heads"]["int8"][which])
        plain = fresh()
        plain.load_state_dict({k: v for k, v in student.state_dict().items() if "range" not in k})
        assert share(plain.eval(), rows(40)) == pytest.approx(scores["heads"]["float"][which])
        images = torch.stack([prepared(image) for image, _ in rows(40)])
        with torch.no_grad():
            assert torch.equal(integers(images), program(images)), "one arithmetic, two files"
            torch.testing.assert_close(integers(images), student(images), rtol=0.05, atol=0.02)
    assert set(scores["heads_validation"]) == {"int8", "float"}
    assert model["heads_bytes"]["int8"] < model["bytes"]


def test_the_control_rounds_too(run: Path) -> None:
    models = {
        each["role"]: each for each in json.loads((run / "scores.json").read_text())["models"]
    }
    assert set(models["control"]["runs"][0]["heads"]) == {"int8", "float"}
    assert "heads" not in models["teacher"]["runs"][0]
    assert "heads_bytes" not in models["teacher"]


def test_products_tell_how_they_are_loaded(run: Path) -> None:
    listed = json.loads((run / "products.json").read_text())["products"]
    assert [one["file"] for one in listed] == [
        "student.safetensors", "student-int8.safetensors", "student-int8.pt2",
        "student-best.safetensors", "student-int8-best.safetensors", "student-int8-best.pt2",
    ]  # fmt: skip
    assert "load_integer(model" in listed[1]["what"]
    assert "needs torch alone" in listed[2]["what"]
    kinds = {str(value.dtype) for value in load_file(run / "student-int8.safetensors").values()}
    assert kinds == {"torch.int8", "torch.float32", "torch.int32"}


def test_a_student_with_its_own_form_of_the_image(tmp_path: Path) -> None:
    """Its program is traced on what it reads, and says so."""
    section = {**SECTION, "input": {"size": 16}}
    distil(tmp_path / "run", section, epochs=1, control=False)
    program = torch.export.load(tmp_path / "run/student-int8.pt2").module()
    assert program(torch.zeros(2, 3, 16, 16)).shape == (2, 3)
    listed = json.loads((tmp_path / "run/products.json").read_text())["products"]
    told = {one["file"]: one["what"] for one in listed}
    assert "images [B, 3, 16, 16]" in told["student-int8.pt2"]
    assert "it reads images [3, 16, 16]" in told["student-int8.safetensors"]


def test_the_report_has_the_rows_with_their_size(run: Path) -> None:
    heads = [row for row in table_rows(read_run(run)) if row.head and row.role == "student"]
    assert [row.model for row in heads] == ["int8", "float"]
    assert heads[0].validation_last
    assert heads[0].size
    assert not heads[1].size


def test_the_program_needs_torch_alone_and_holds_integers(run: Path, tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['stillhouse'] = None; import torch; "
        f"program = torch.export.load({str(run / 'student-int8.pt2')!r}); "
        "kinds = [value.dtype for name, value in program.state_dict.items() if 'weight' in name]; "
        "assert kinds == [torch.int8] * 3, kinds; "
        "print(program.module()(torch.zeros(3, 3, 8, 8)).shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "torch.Size([3, 3])", done.stderr


@pytest.mark.parametrize("method", ["rkd", "th_kd"])
def test_other_methods_train_it_unchanged(method: str, tmp_path: Path) -> None:
    """Also those that tap embeddings and heads."""
    outcome, _ = distil(tmp_path / "run", lambda: quantised(tiny_net(4, 1), IMAGE), method,
                        epochs=1, control=False)  # fmt: skip
    heads = outcome.scores["models"][-1]["runs"][0]["heads"]
    assert {"int8", "float"} <= set(heads)
    assert (tmp_path / "run" / "student-int8.safetensors").is_file()


def test_a_part_that_never_ran_in_training_is_said_and_left_out(tmp_path: Path) -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.spare, self.net = nn.Linear(2, 2), tiny_net(4, 1)

        def forward(self, image: Tensor) -> Tensor:
            return self.net(image)

    outcome, warned = distil(tmp_path / "run", lambda: quantised(Idle(), IMAGE), control=False,
                             epochs=1)  # fmt: skip
    assert "heads" not in outcome.scores["models"][-1]["runs"][0]
    assert any("student: not run in int8: spare of Idle never read" in text for text in warned)
    assert any("student-int8.safetensors is left out" in text for text in warned)
    assert not list((tmp_path / "run").glob("*int8*"))


def network(**section: object) -> Network:
    student = make_recipe({"data": "digits", "teacher": "resnet8", "student": section}).student
    return Network(student, 3, 3, 8)


def test_a_recipe_makes_the_very_network_rounding(tmp_path: Path) -> None:
    mine, plain = network(**SECTION), network(model="convnet-4-8")
    made, bare = mine.make(1), plain.make(1)
    for name, value in bare.state_dict().items():
        assert torch.equal(value, made.state_dict()[name]), name
    assert mine.code(made) == {"quantise": "int8"}, "the fingerprint knows"
    assert plain.code(bare) == {}, "and that of every other run stays what it was"
    torch.save(bare.state_dict(), tmp_path / "float.pt")
    started = network(**SECTION, weights=tmp_path / "float.pt").make(2)
    assert torch.equal(started.fc.weight, bare.fc.weight), "a float file may be its start"


def test_what_a_recipe_cannot_ask(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"student.quantise' is 'int7'; it must be 'int8'"):
        network(model="convnet-4-8", quantise="int7")
    section = {"model": "convnet-4-6", **SECTION, "head": "shared"}
    with pytest.raises(ModelError, match="cannot take over the classifier"):
        distil(tmp_path / "run", section)
    with pytest.raises(ModelError, match=r"does not take images \[1, 3, 4, 4\]"):
        quantised(nn.Linear(3, 2), torch.zeros(1, 3, 4, 4))


def test_a_program_of_integers_takes_any_batch() -> None:
    net = quantised(tiny_net(4, 1), IMAGE).train()
    net(torch.randn(8, 3, 8, 8))
    made, images = converted(net), torch.randn(5, 3, 8, 8)
    program = torch.export.load(io.BytesIO(export(made, images))).module()
    for count in (1, 2, 5):
        assert torch.equal(program(images[:count]), made(images[:count]))
