"""CONTRIBUTING is followed to the letter in a copy of the repository, and the suite run there."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
LOSS, METHOD = "largest_difference", "chebyshev_kd"


@dataclass(frozen=True)
class Step:
    """A numbered step of the page: what to do with which file, and the block that goes there."""

    name: str
    how: str
    path: str
    block: str

    def follow(self, copy: Path) -> None:
        """Do as the page says."""
        path = copy / self.path
        if self.how == "a new file":
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(self.block)
        elif self.how == "at the end of":
            between = "\n\n\n" if path.suffix == ".py" else "\n\n"
            path.write_text(path.read_text().rstrip("\n") + between + self.block)
        else:  # beside the lines like it: behind the last of those that begin most like it
            lines = path.read_text().splitlines(keepends=True)
            alike = [common(line, self.block) for line in lines]
            at = max(place for place, same in enumerate(alike) if same == max(alike))
            path.write_text("".join([*lines[: at + 1], self.block, *lines[at + 1 :]]))


def common(one: str, other: str) -> int:
    """How many characters two lines have in common at their beginnings."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def steps() -> list[Step]:
    """The steps of both sections in order: a number in bold, how and where, a block."""
    found, title = [], ""
    parts = re.split(r"^```\w+\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    for prose, block in zip(parts[::2], parts[1::2], strict=False):
        title = (re.findall(r"^## (.*)$", prose, re.MULTILINE) or [title])[-1]
        step = re.search(r"^\*\*(\d)\. .*", prose, re.MULTILINE | re.DOTALL)
        if step:
            how, path = re.search(r"(a new file|at the end of|in) `([\w./]+)`", step[0]).groups()
            found.append(Step(f"{title} {step[1]}", how, path, block))
    return found


STEPS = steps()


def test_both_examples_are_four_touches_of_files_that_are_there_or_new() -> None:
    assert [step.name[:-2] for step in STEPS] == ["Add a loss"] * 4 + ["Add a method"] * 4
    for step in STEPS:
        assert (ROOT / step.path).exists() == (step.how != "a new file"), step
    assert not re.search(rf"\b({LOSS}|{METHOD})\b", (ROOT / "docs/losses.md").read_text())


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which the whole page was followed, `make format` included."""
    copy = copied(tmp_path_factory.mktemp("contributing") / "copy", STEPS)
    run(copy, "ruff", "format", ".")
    run(copy, "ruff", "check", "--fix", "--select", "I", ".")
    return copy


def copied(copy: Path, followed: Iterable[Step]) -> Path:
    """What git knows of the repository, with these steps."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("this is no checkout: nobody knows which files are the repository's")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():  # not one that is deleted and not yet committed
            (copy / name).parent.mkdir(exist_ok=True, parents=True)
            shutil.copyfile(ROOT / name, copy / name)
    for step in followed:
        step.follow(copy)
    return copy


def run(copy: Path, *command: str, fails: bool = False) -> str:
    """A Python module run in the copy, on the copy's own package; gives what it said."""
    known = {**os.environ, "PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1"}
    known.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=copy, env=known, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode != 0) == fails, done.stdout[-5000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_the_suite_takes_both(followed: Path) -> None:
    """All that polices catalogues, cards and listings, and all that is tried of these two."""
    python = [step.path for step in STEPS if step.path.endswith(".py")]
    where = ["tests/contract", "tests/methods/test_networks.py", "tests/test_readme.py"]
    where += ["tests/recipes/test_arms.py", "tests/recipes/test_load.py", *python]
    chosen = " or ".join((LOSS, METHOD, "test_hygiene", "card", "test_arms"))
    said = run(followed, "pytest", "-n", "0", "-v", "-p", "no:cacheprovider", *where, "-k", chosen)
    for tried in (
        f"tests/contract/test_losses.py::test_the_catalogue_keeps_the_contract[{LOSS}] PASSED",
        f"tests/contract/test_methods.py::test_the_catalogue_keeps_the_contract[{METHOD}] PASSED",
        f"tests/functional/test_{LOSS}.py::test_it_equals_the_naive_loop PASSED",
        f"tests/methods/response/test_{METHOD}.py::test_it_equals_a_loop_by_hand PASSED",
        f"stillhouse.functional.features.{LOSS} PASSED",
        f"stillhouse.methods.response.{METHOD}.{METHOD} PASSED",
    ):
        assert tried in said


@pytest.mark.slow
def test_lint_and_types_take_both(followed: Path) -> None:
    python = [step.path for step in STEPS if step.path.endswith(".py")]
    run(followed, "ruff", "check", *python)
    (followed / "typed.py").write_text(
        f"import stillhouse as sh\nfrom stillhouse.methods import {METHOD}\n\n"
        f"reveal_type({METHOD})\nreveal_type(sh.methods.{METHOD})\nreveal_type(sh.methods.METHODS)\n"
        f"reveal_type(sh.functional.{LOSS})\n"
    )
    sources = [name for name in python if name.startswith("src")]
    said = run(followed, "mypy", "--cache-dir", ".mypy_cache", "typed.py", *sources)
    kinds = re.findall(r'Revealed type is "(.*)"', said)
    assert len(kinds) == 4
    assert kinds[0] == kinds[1]
    for word in ("weight:", "label_weight:", "stillhouse.engine.stage.Stage"):
        assert word in kinds[0]
    assert "tuple[stillhouse.methods.method.Method, ...]" in kinds[2]
    assert "student: torch" in kinds[3]


@pytest.mark.slow
def test_listings_show_both_and_the_other_examples_run(followed: Path) -> None:
    methods, _, losses = run(followed, "stillhouse", "ls").partition("\nlosses\n")
    assert f"\n{LOSS}\n" in losses.partition("\nmodels\n")[0]
    family = " ".join(methods.partition("\nresponse")[2].partition("\nfeature")[0].split())
    assert re.search(rf"{METHOD} Chebyshev KD: .* the teacher's. Doe & Roe 2031$", family)
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    others = [block for block in blocks if block not in [step.block for step in STEPS]]
    assert len(others) == 2
    (followed / "examples.py").write_text("\n".join(others))
    run(followed, "examples")


@pytest.mark.slow
@pytest.mark.parametrize("left_out", STEPS, ids=lambda step: step.name)
def test_no_step_is_spare(left_out: Step, tmp_path: Path) -> None:
    """Without any one of them the suite fails."""
    copy = copied(tmp_path / "copy", [step for step in STEPS if step != left_out])
    tests = [step.path for step in STEPS if step.path.startswith("tests")]
    there = [name for name in tests if (copy / name).exists()]
    quick = ["pytest", "-n", "0", "-q", "-x", "-p", "no:cacheprovider"]
    run(copy, *quick, "tests/contract/test_hygiene.py", *there, fails=True)
