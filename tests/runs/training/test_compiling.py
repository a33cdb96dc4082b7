"""compile: auto is decided by measure, once, and kept."""

import json
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from stillhouse.errors import RunError
from stillhouse.recipes import make_recipe
from stillhouse.runs.run import prepare
from stillhouse.runs.training import compiling
from stillhouse.runs.training.compiling import settle_compile

RECIPE = {
    "data": "digits",
    "student": "mlp-8",
    "teacher": "mlp-16",
    "seeds": 1,
    "epochs": 2,
    "precision": "fp32",
}


def prepared(folder: Path, **more):
    return prepare(make_recipe({**RECIPE, **more}), folder / "run")


def kept(folder: Path) -> dict:
    return json.loads(next((folder / "shared").glob("compile-*.json")).read_text())


def test_a_short_run_stays_eager_without_trying(tmp_path: Path, monkeypatch) -> None:
    asked = []

    def seconds(job, *, compile: bool):
        asked.append(compile)
        return 0.001, 0.001

    monkeypatch.setattr(compiling, "_seconds_per_step", seconds)
    assert not settle_compile(prepared(tmp_path))
    assert asked == [], "no stage is even opened"
    assert "too short to compile" in kept(tmp_path)["why"]


@pytest.mark.parametrize(
    ("compiled", "start", "pays"), [(50.0, 30.0, True), (99.0, 30.0, False), (50.0, 5000.0, False)]
)
def test_a_long_run_is_compiled_where_it_pays(
    compiled: float, start: float, pays: bool, tmp_path: Path, monkeypatch
) -> None:
    times = {False: (100.0, 0.1), True: (compiled, start)}
    monkeypatch.setattr(compiling, "_seconds_of_network", lambda job: 100.0)
    monkeypatch.setattr(compiling, "_seconds_per_step", lambda job, *, compile: times[compile])
    job = prepared(tmp_path)
    assert settle_compile(job) is pays  # 40 steps of 100 s
    monkeypatch.setattr(compiling, "_seconds_per_step", None)  # what was decided is not asked again
    assert settle_compile(job) is pays


def test_a_model_that_cannot_be_compiled_stays_eager_and_says_why(
    tmp_path: Path, monkeypatch
) -> None:
    def seconds(job, *, compile: bool):
        if compile:
            raise RuntimeError("no C++ compiler\nand more")
        return 100.0, 0.1

    monkeypatch.setattr(compiling, "_seconds_of_network", lambda job: 100.0)
    monkeypatch.setattr(compiling, "_seconds_per_step", seconds)
    assert not settle_compile(prepared(tmp_path))
    assert kept(tmp_path)["why"] == "it cannot be compiled here (no C++ compiler)"


def test_what_the_recipe_says_is_done(tmp_path: Path) -> None:
    assert not settle_compile(prepared(tmp_path, compile=False))
    assert settle_compile(prepared(tmp_path, compile=True))
    assert not (tmp_path / "shared").exists()


def test_real_steps_are_timed(tmp_path: Path) -> None:
    job = prepared(tmp_path)
    step, first = compiling._seconds_per_step(job, compile=False)
    assert 0 < compiling._seconds_of_network(job) < 10
    assert 0 < step < 10
    assert first > 0


@pytest.mark.parametrize("narrow", [True, False])
def test_a_narrow_strided_convolution_is_timed_on_contiguous_images(
    narrow: bool, tmp_path: Path, monkeypatch
) -> None:
    """Its weight gradient crashes in oneDNN where images are channels last, as tables hold them."""
    monkeypatch.setattr(compiling, "breaks_channels_last", lambda module, device: narrow)
    seen, whole = set(), compiling.run_on

    def run_on(module, given):
        seen.update(value.is_contiguous() for value in given.values())
        return whole(module, given)

    monkeypatch.setattr(compiling, "run_on", run_on)
    source = Path(tmp_path, "pictures")
    for row in range(40):
        place = source / "ab"[row % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (6 * row, 0, 9)).save(place / f"{row}.png")
    compiling._seconds_of_network(
        prepared(tmp_path, data=str(source), student="convnet-4-8", teacher="convnet-4-8")
    )
    assert seen == {narrow}


@pytest.mark.parametrize("text", ["{", "{}", "[]"])
def test_a_damaged_decision_is_said(text: str, tmp_path: Path) -> None:
    settle_compile(prepared(tmp_path))
    next((tmp_path / "shared").glob("compile-*.json")).write_text(text)
    with pytest.raises(RunError, match=r"compile-.*\.json is damaged"):
        settle_compile(prepared(tmp_path))


def test_two_runs_decide_once(tmp_path: Path, monkeypatch) -> None:
    """Two answers would be two controls, and a run that cannot be resumed."""
    asked = []

    def seconds(job) -> float:
        asked.append(job)
        time.sleep(0.2)
        return 0.001

    monkeypatch.setattr(compiling, "_seconds_of_network", seconds)
    jobs = [prepared(tmp_path), prepared(tmp_path)]
    threads = [threading.Thread(target=settle_compile, args=[job]) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(asked) == 1
