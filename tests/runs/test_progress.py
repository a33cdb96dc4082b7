"""How a call from Python shows how far it is: lines elsewhere, one output in a notebook."""

import sys
from types import SimpleNamespace

import pytest

from stillhouse.records.metric import ACCURACY
from stillhouse.runs.progress import Listening, progress_shown
from stillhouse.runs.progress.lines import LineProgress, PartLines
from stillhouse.runs.progress.notebook import NotebookProgress
from stillhouse.runs.progress.watchers import SilentProgress


def line(stage: str, epoch: int, step: int) -> dict[str, object]:
    scores = {stage: {"accuracy": 0.5 + epoch / 100}}
    return {"stage": stage, "seed": 4, "epoch": epoch, "step": step, "loss": 1.0 / epoch,
            "terms": {}, "lr": 0.1, "validation": scores, "images_per_second": 99.0}  # fmt: skip


def told(watcher) -> None:
    """A teacher of two epochs, a student that patience ended after one of three."""
    watcher.say("a note")
    watcher.begin("teacher", 10, 0)
    for epoch in (1, 2):
        for _ in range(5):
            watcher.step(8)
        watcher.epoch(line("teacher", epoch, 5 * epoch), ACCURACY)
    watcher.warn("few <rows>")
    watcher.begin("student", 15, 0)
    watcher.epoch(line("student", 1, 5), ACCURACY)


def test_a_training_is_one_line_also_one_that_patience_ended(capsys) -> None:
    with progress_shown() as shown:
        assert isinstance(shown, PartLines)
        told(shown)
    printed = capsys.readouterr().out.splitlines()
    assert [text.rpartition(", ")[0] for text in printed if "seed" in text] == [
        "teacher seed 4: epoch 2, loss 0.5000, validation 52.00%",
        "student seed 4: epoch 1, loss 1.0000, validation 51.00%",
    ]
    assert [text for text in printed if "seed" not in text] == ["warning: few <rows>"]


def test_quiet_says_nothing_and_a_log_says_more(capsys, monkeypatch) -> None:
    with progress_shown(quiet=True) as shown:
        told(shown)
    assert isinstance(shown, SilentProgress)
    assert capsys.readouterr().out == ""
    with progress_shown(log=True) as shown:
        told(shown)
    assert isinstance(shown, LineProgress)
    assert "a note" in capsys.readouterr().out
    monkeypatch.setattr(sys, "stdout", None)  # as in a program without a console
    with progress_shown() as shown:
        told(shown)


class Display:
    """IPython's display, which keeps what is shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def __call__(self, what: object, *, display_id: bool) -> "Display":
        assert display_id
        return self

    def update(self, what: NotebookProgress) -> None:
        self.shown.append(what._repr_html_())


def test_a_notebook_has_one_output_that_is_shown_anew(monkeypatch) -> None:
    display = Display()
    shell = SimpleNamespace(kernel=object())
    ipython = SimpleNamespace(get_ipython=lambda: shell, display=SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    with progress_shown() as shown:
        assert isinstance(shown, NotebookProgress)
        told(shown)
        assert 'value="0" max="15"' in display.shown[-1]
        assert "validation 51.00%, 99 images/s" in display.shown[-1]
        shown.overall(1, 3)
        assert 'all students     <progress value="1" max="3">' in display.shown[-1]
    last = display.shown[-1]
    assert "<progress" not in last, "what is stored has lines alone"
    assert "few &lt;rows&gt;" in last
    lines = repr(shown).splitlines()
    assert lines[0] == "a note"
    assert [text.split(",")[0] for text in lines[1:]] == [
        "teacher seed 4: epoch 2", "warning: few <rows>", "student seed 4: epoch 1",
    ]  # fmt: skip
    shown.ended("kd: 97 %")
    assert repr(shown).splitlines() == ["warning: few <rows>", "kd: 97 %"], "of an arm one line"
    shell.kernel = None  # IPython in a terminal
    with progress_shown() as shown:
        assert isinstance(shown, PartLines)


def test_what_a_callback_raises_ends_the_training() -> None:
    def stop(epoch) -> None:
        assert (epoch.stage, epoch.epochs, epoch.validation) == ("teacher", 2, 0.51)
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        told(Listening(SilentProgress(), stop))
