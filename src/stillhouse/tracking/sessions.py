"""One open run of a tracker, on Accelerate's classes: what differs from tracker to tracker."""

import io
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stillhouse.tracking.summary import Summary

LOGS = "tensorboard"
"""The folder of a run or study with what TensorBoard reads."""


@dataclass(frozen=True)
class Wanted:
    """The run of a tracker that is to be opened.

    Args:
        out: the directory of the stillhouse run or study.
        project: the tracker's project or experiment.
        name: of the tracker's run in that directory, such as 'student/seed-0'.
        known: what the tracker called it when it was opened before; empty if it was not.
        epoch: the last one that it has.
        about: what its numbers are of, such as role and seed, as plain values.
    """

    out: Path
    project: str
    name: str
    known: str = ""
    epoch: int = 0
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """The stillhouse run, by the name of its directory."""
        return self.out.resolve().name

    @property
    def title(self) -> str:
        """The name among runs of other directories."""
        return f"{self.group}/{self.name}"


class Session:
    """An open run of a tracker.

    Args:
        tracker: Accelerate's.
        run: what the tracker calls it, for opening it again.
        last: the last epoch that it has, where it was opened before; None where it cannot tell.
    """

    def __init__(self, tracker: Any, run: str, last: int | None = None) -> None:
        self.tracker, self.run, self.last = tracker, run, last

    def log(self, values: Mapping[str, float], epoch: int) -> None:
        """Points of an epoch."""
        self.tracker.log(dict(values), step=epoch)

    def conclude(self, summary: Summary) -> None:
        """What came out."""
        raise NotImplementedError

    def close(self) -> None:
        """No more points come for now."""
        with _hushed():
            self.tracker.finish()


class TensorBoard(Session):
    """Event files in a folder of the run."""

    @classmethod
    def open(cls, wanted: Wanted) -> "TensorBoard":
        """A folder per curve; its points from the last epoch on are void, and written again."""
        from accelerate.tracking import TensorBoardTracker

        last = max(wanted.epoch - 1, 0)
        again = {"purge_step": last + 1} if wanted.known else {}
        tracker = TensorBoardTracker(wanted.name, logging_dir=wanted.out / LOGS, **again)
        return cls(_started(tracker), wanted.name, last)

    def conclude(self, summary: Summary) -> None:
        """Figures as scalars; table and verdict as text. It keeps no files."""
        writer = self.tracker.writer
        self.tracker.log(dict(summary.figures), step=0)
        texts = {"verdict": summary.verdict or "none", "table": summary.markdown}
        for name, text in {**texts, "report": f"`{summary.report.name}` of the run"}.items():
            writer.add_text(name, f"{summary.title}\n\n{text}", global_step=0)
        writer.flush()


class MLflow(Session):
    """A run of an MLflow experiment; where, is MLflow's own setting."""

    @classmethod
    def open(cls, wanted: Wanted) -> "MLflow":
        """Under somebody's open run, where there is one."""
        import mlflow
        from accelerate.tracking import MLflowTracker

        again = {"run_id": wanted.known} if wanted.known else {"run_name": wanted.title}
        tracker = _started(MLflowTracker(wanted.project, nested_run=True, **again))
        run = tracker.active_run.info.run_id
        if not wanted.known:
            tracker.store_init_configuration({"stillhouse run": wanted.group, **wanted.about})
            return cls(tracker, run)
        known = mlflow.MlflowClient().get_metric_history(run, "loss")
        return cls(tracker, run, max((point.step for point in known), default=0))

    def conclude(self, summary: Summary) -> None:
        """Figures as metrics; table, verdict and report as artefacts."""
        import mlflow

        self.tracker.log(dict(summary.figures), step=0)
        text = f"{summary.title}\n\n{summary.verdict}\n\n{summary.markdown}\n"
        mlflow.set_tag("mlflow.note.content", text)
        mlflow.log_text(text, "summary.md")
        self.tracker.log_artifact(str(summary.report))


class Trackio(Session):
    """A run of a local trackio project."""

    @classmethod
    def open(cls, wanted: Wanted) -> "Trackio":
        """No dashboard is put into a notebook for each of them."""
        from accelerate.tracking import TrackioTracker

        tracker = TrackioTracker(
            wanted.project,
            name=wanted.title,
            group=wanted.group,
            config=dict(wanted.about),
            resume="allow" if wanted.known else "never",
            embed=False,
        )
        following = getattr(_started(tracker).tracker, "_next_step", None)
        return cls(tracker, wanted.title, following - 1 if isinstance(following, int) else None)

    def close(self) -> None:
        """It would be told again when the program ends."""
        import trackio

        with _hushed():
            trackio.finish()

    def conclude(self, summary: Summary) -> None:
        """Figures, table and verdict beside each other; the report as an artefact."""
        import trackio

        shown: dict[str, Any] = dict(summary.figures)
        rows = [dict(zip(summary.columns, row, strict=True)) for row in summary.rows]
        shown["table"] = trackio.Table(data=rows)
        shown["verdict"] = trackio.Markdown(f"{summary.title}\n\n{summary.verdict}")
        self.tracker.log(shown, step=0)
        named = f"report-{self.run.replace('/', '-')}"
        with _hushed():
            self.tracker.tracker.log_artifact(summary.report, name=named, type="report")


class WandB(Session):
    """A run of a Weights & Biases project, online or offline as W&B is set."""

    @classmethod
    def open(cls, wanted: Wanted) -> "WandB":
        """In the directory of the run, unless W&B was told another."""
        import wandb
        from accelerate.tracking import WandBTracker

        run = wanted.known or uuid.uuid4().hex
        there = {} if os.environ.get("WANDB_DIR") else {"dir": str(wanted.out)}
        offline = wandb.setup().settings.mode in ("offline", "disabled", "dryrun")
        again = {} if offline else {"resume": "allow"}
        settings = wandb.Settings(silent=True)
        tracker = WandBTracker(
            wanted.project,
            name=wanted.title,
            group=wanted.group,
            id=run,
            config=dict(wanted.about),
            reinit="create_new",
            settings=settings,
            **there,
            **again,
        )
        return cls(_started(tracker), run)

    def conclude(self, summary: Summary) -> None:
        """Figures and verdict in its summary; the table; the report as an artefact."""
        import wandb

        run = self.tracker.run
        run.summary.update({**summary.figures, "verdict": summary.verdict})
        rows = [list(row) for row in summary.rows]
        run.log({"table": wandb.Table(columns=list(summary.columns), data=rows)})
        kept = wandb.Artifact(f"report-{self.run}", type="report")
        kept.add_file(str(summary.report))
        run.log_artifact(kept)


OPENERS: dict[str, Callable[[Wanted], Session]] = {
    "tensorboard": TensorBoard.open,
    "mlflow": MLflow.open,
    "trackio": Trackio.open,
    "wandb": WandB.open,
}


def _started(tracker: Any) -> Any:
    """Begin; older versions of Accelerate do so when the tracker is made."""
    from accelerate import PartialState

    PartialState()  # what Accelerate's own logging asks for
    start = getattr(tracker, "start", None)
    if start is not None:
        with _hushed():
            start()
    return tracker


@contextmanager
def _hushed() -> Iterator[None]:
    """Without what trackers print whenever a run begins or ends: a run of ours has many of them."""
    with redirect_stdout(io.StringIO()):
        yield
