"""The bar of a whole run: its share and the time left, by a clock of our own."""

from rich.console import Console

from stillhouse.records.metric import ACCURACY
from stillhouse.runs.job.counter import StudentCounter, counted
from stillhouse.runs.job.watcher import Heard, SilentWatcher
from stillhouse.runs.progress.bars import Bars
from stillhouse.runs.progress.whole import Whole


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Shown(Bars):
    """Bars that keep what would stand beside them, with each step shown."""

    def __init__(self) -> None:
        super().__init__(Console(width=80, force_terminal=False, quiet=True))
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    @property
    def beside(self) -> str:
        return self._progress.tasks[0].description

    @property
    def share(self) -> float:
        return self._progress.tasks[0].completed


def test_control_and_student_are_half_a_share_each_and_what_was_finished_costs_no_time() -> None:
    clock = Clock()
    whole = Whole(clock)
    whole.overall(0, 4)
    whole.begin("teacher", 100, 0)
    whole.steps(100)
    assert (whole.share, whole.left()) == (0.0, None), "a teacher is before the students"
    clock.now = 50.0
    for at, stage in enumerate(("control", "student")):
        whole.begin(stage, 100, 0)
        whole.steps(50)
        clock.now += 10.0
        assert whole.share == (0.0625, 0.1875)[at]
        whole.steps(50)
        clock.now += 10.0
    assert whole.share == 0.25
    assert whole.left() == 40.0 / 0.25 * 0.75
    whole.overall(3, 4)  # two of another arm were found finished
    assert whole.left() is None
    whole.begin("student", 100, 50)
    assert whole.share == 0.875, "it goes on from its middle"
    whole.steps(25)
    clock.now += 5.0
    assert whole.left() == 5.0


def test_one_bar_says_what_is_trained_with_epoch_loss_and_best() -> None:
    bars = Shown()
    assert bars.beside == "reading data and networks"
    watcher = Heard(counted(bars, 2))
    watcher.begin("student", 8, 4)
    assert bars.said == ["student: goes on from step 4 of 8, where it was stopped"]
    for epoch, accuracy in ((2, 0.75), (3, 0.5)):
        record = {"stage": "student", "seed": 1, "epoch": epoch, "step": 2 * epoch, "loss": 0.4321,
                  "validation": {"student": {"accuracy": accuracy}}}  # fmt: skip
        watcher.epoch(record, ACCURACY)
    told = "student seed 1: epoch 3/4, loss 0.432, val 50.00%, best 75.00%"
    assert bars.beside == told
    watcher.epoch({**record, "epoch": 4, "step": 8}, ACCURACY)
    assert bars.share == 0.5, "one of two students"
    watcher.begin("student", 8, 8)
    assert bars.share == 1.0, "the other was found finished"
    bars.stop()


def test_a_study_counts_its_students_itself() -> None:
    counter = StudentCounter(SilentWatcher(), 3, 9)
    assert counted(counter, 2) is counter
