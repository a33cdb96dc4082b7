"""The smaller commands."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


def test_check_prints_signals_terms_and_gradient_shares(command) -> None:
    said = command("check", RECIPES / "digits-kd.yaml", "--set", "teacher=convnet-8-8")
    assert said.code == 0, said.err
    for part in ("teacher.logits", "student.logits", "[4, 10]", "share of gradient", "kd", "%"):
        assert part in said.out
    assert "seeds: a gain of about" in said.out, "what they can show, before they are trained"
    assert not Path("runs").exists(), "check writes nothing"


def test_check_evaluates_a_given_teacher_first(command, tmp_path: Path) -> None:
    from stillhouse.models import build_model
    from stillhouse.records.tensors import save_tensors

    teacher = build_model("convnet-8-8", classes=10, channels=1)
    save_tensors(tmp_path / "t.safetensors", teacher.state_dict(), {})
    said = command(
        "check", RECIPES / "digits-kd.yaml",
        "--set", "teacher={model: convnet-8-8, weights: t.safetensors}",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "teacher: validation accuracy" in said.out


def test_check_finds_wiring_problems(command) -> None:
    said = command(
        "check", RECIPES / "digits-kd.yaml", "--set", "method={name: th_kd, head: layre9}"
    )
    assert said.code == 2
    assert "layre9" in said.err


NORMED = """
from torch import nn

def normed(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4), nn.Linear(4, classes))
"""


@pytest.mark.parametrize("verb", ["check", "run"])
def test_what_fails_at_the_real_batch_size_is_said_before_anything_is_trained(
    command, monkeypatch, tmp_path: Path, verb: str
) -> None:
    (tmp_path / "one_row.py").write_text(NORMED)
    monkeypatch.syspath_prepend(tmp_path)
    said = command(
        verb, RECIPES / "digits-kd.yaml", "--allow-imports", "--set", "batch=1",
        "--set", "teacher=convnet-8-8", "--set", "student=python:one_row:normed",
    )  # fmt: skip
    assert said.code == 2
    assert "node 'student' has a batch norm that sees one value of each channel" in said.err
    assert "Traceback" not in said.err
    assert not list(Path().rglob("*.safetensors"))


def test_ls_lists_everything(command) -> None:
    said = command("ls")
    for part in ("kd", "th_kd", "cross_entropy", "resnet20", "digits", "arXiv 1503.02531"):
        assert part in said.out
    assert command("ls", "methods").out.count("\n") < said.out.count("\n")
    assert command("ls", "metods").code == 2


def test_ls_shows_methods_under_their_family(command) -> None:
    lines = command("ls", "methods").out.splitlines()
    for family, method in {
        "response": "kd",
        "relation": "rkd",
        "teacher free": "tf_kd_reg",
    }.items():
        block = lines[lines.index(family) :]
        assert method in block[: block.index("")]
    assert lines.index("plain") < lines.index("response"), "of no family, and first"


def test_ls_is_narrowed_by_words_family_and_task(command) -> None:
    def names(*arguments: str) -> list[str]:
        said = command("ls", "methods", *arguments, "--json")
        assert said.code == 0, said.err
        return [row["name"] for row in json.loads(said.out)["methods"]]

    assert names("attention", "zagoruyko") == ["at"]
    assert {"rkd", "sp"} < set(names("--family", "relation"))
    assert "kd" not in names("--family", "relation")
    assert set(names("--task", "verification")) < set(names())
    assert "simkd" not in names("--task", "verification"), "as the task says of itself"
    for wrong in (["zzz"], ["--family", "relations"], ["--task", "detect"]):
        assert command("ls", "methods", *wrong).code == 2
    assert command("ls", "models", "--family", "relation").code == 2


def test_ls_says_what_a_method_needs_gained_and_cost(command) -> None:
    said = command("ls", "methods", "dkd").out
    result = json.loads((RECIPES.parent / "benchmarks/results/cifar100-methods.json").read_text())
    (arm,) = (each for each in result["study"]["arms"] if each["name"] == "dkd")
    assert "needs: a teacher" in said
    assert f"gained: {100 * arm['gain']['mean']:+.2f} points" in said
    assert "times the training time" in said
    assert "benchmarks/results/cifar100-methods.json" in said


def test_show_prints_every_default(command) -> None:
    said = command("show", RECIPES / "digits-kd.yaml", "--set", "epochs=7")
    assert "epochs: 7" in said.out
    assert "weight_decay: 0.0005" in said.out


def test_taps_lists_modules_with_shapes(command) -> None:
    said = command("taps", "resnet8", "--classes", 100)
    assert "layer3" in said.out
    assert "[B, 64, 8, 8]" in said.out
    assert "embedding" in said.out
    assert command("taps", "resnet8", "--image", "3,32").code == 2


def test_taps_propose_pairs_beside_a_teacher(command) -> None:
    said = command("taps", "convnet-4-8-16", "--teacher", "resnet8", "--image", "1,16,16")
    assert "levels" in said.out
    assert "auto" in said.out
    assert "layer3" in said.out
    seen = command(
        "taps", "convnet-4-8-16", "--teacher", "resnet8", "--image", "1,8,8", "--data", "digits"
    )
    assert seen.code == 0
    assert "likeness" in seen.out
    wrong = command("taps", "resnet8", "--teacher", "resnet8", "--data", "digits")
    assert wrong.code == 2
    assert "say it with --image" in wrong.err


@pytest.mark.parametrize(("below", "told"), [(1.01, True), (0.0, False)])
def test_pairs_that_are_little_alike_come_with_a_caution(command, monkeypatch, below, told) -> None:
    monkeypatch.setattr("stillhouse.cli.taps.LOW_LIKENESS", below)
    said = command("taps", "convnet-4-8", "--teacher", "convnet-4-8", "--image", "1,8,8")
    assert ("Caution: in" in said.out) == told


def test_importing_and_help_load_nothing_heavy() -> None:
    """The command answers at once because torch and the rest are imported when they are needed."""
    heavy = "{'accelerate', 'datasets', 'pydantic', 'plotly', 'sklearn', 'scipy', 'pandas', 'rich'}"
    code = f"import sys, stillhouse; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
    code = (
        "import sys; sys.argv = ['stillhouse', '--help']\n"
        "from stillhouse.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print('torch' in sys.modules, 'numpy' in sys.modules, 'pydantic' in sys.modules)"
    )
    said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert said.strip().endswith("False False False")


def test_the_module_runs_like_the_command() -> None:
    code = [sys.executable, "-m", "stillhouse", "ls", "methods"]
    assert "th_kd" in subprocess.check_output(code, text=True)


def test_a_log_hears_of_long_caches(capsys, monkeypatch) -> None:
    from stillhouse.runs.progress import lines

    clock = iter([0.0, 10.0, 70.0, 70.0, 80.0])
    monkeypatch.setattr(lines.time, "monotonic", lambda: next(clock))
    plain = lines.LineProgress()
    plain.begin("record teacher", 400, 10)
    plain.step(4096)
    plain.step(4096)
    plain.step(4096)
    assert capsys.readouterr().out == "record teacher: step 12 of 400\n"
