"""Curves and scores as figures of matplotlib, for notebooks and papers."""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from stillhouse.errors import MissingExtra, RunError
from stillhouse.records.metric import MINUS
from stillhouse.report.curves import validation_curve
from stillhouse.report.data_frames import control_scores
from stillhouse.report.figures import teacher_level
from stillhouse.report.gains import gain_labels
from stillhouse.report.palette import LIGHT
from stillhouse.report.record import RunRecord
from stillhouse.report.short_names import short_names
from stillhouse.report.study_record import StudyRecord
from stillhouse.verdict.spread import spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"control": LIGHT["control"], "student": LIGHT["accent"], "teacher": LIGHT["ink"]}
ROW = 0.3  # inches an arm


def plot_run(record: RunRecord) -> "Figure":
    """Draw the metric on validation against epochs, and beside it what the verdict rests on.

    Left: mean over seeds, with the range over seeds; the teacher's last epoch dashed. Right: the
    gain of each seed over the control, their mean and its 95 % interval; without a control the test
    metric of each training.

    Raises:
        MissingExtra: matplotlib is not installed.
        RunError: the run has no numbers yet.
    """
    curves = {role: validation_curve(record, role) for role in ("control", "student")}
    known = {role: found for role, found in curves.items() if found is not None}
    if not known and not record.models:
        raise RunError(f"the run in {record.name} has no numbers yet, so there is nothing to draw")
    figure = _figure(9.0, 3.4)
    panels = figure.subplots(1, 2 if known else 1, squeeze=False)[0]
    if known:
        _draw_curves(panels[0], record, known)
    if record.verdict is not None and record.verdict.gains:
        _draw_gains(panels[-1], record)
    else:
        _draw_scores(panels[-1], record)
    return figure


def _draw_curves(axes: "Axes", record: RunRecord, known: dict[str, Any]) -> None:
    metric = record.metric
    for role, found in known.items():
        scaled = [[metric.scale * value for value in each]
                  for each in (found.mean, found.low, found.high)]  # fmt: skip
        marker = "o" if len(found.epochs) == 1 else None
        axes.plot(found.epochs, scaled[0], color=COLOURS[role], label=role, marker=marker)
        if found.seeds > 1:
            axes.fill_between(found.epochs, scaled[1], scaled[2], color=COLOURS[role], alpha=0.16,
                              linewidth=0)  # fmt: skip
    level = teacher_level(record)
    if level is not None:
        axes.axhline(metric.scale * level, color=COLOURS["teacher"], linestyle="--", linewidth=1,
                     label="teacher, last epoch")  # fmt: skip
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel(_with_unit(f"validation {metric.name}", metric.unit))
    axes.legend(frameon=False)


def _draw_gains(axes: "Axes", record: RunRecord) -> None:
    metric, verdict = record.metric, record.verdict
    if verdict is None:
        return
    names = [*gain_labels(record)]
    gains = [metric.scale * gain for gain in verdict.gains]
    axes.plot(gains, range(len(gains)), "o", color=COLOURS["control"])
    if verdict.gain is not None and len(gains) > 1:
        names.append("mean")
        mean = metric.scale * verdict.gain
        ends = None
        if verdict.low is not None and verdict.high is not None:
            ends = [[mean - metric.scale * verdict.low], [metric.scale * verdict.high - mean]]
        axes.errorbar([mean], [len(gains)], xerr=ends, fmt="D", color=COLOURS["student"], capsize=4)
    axes.axvline(0, color=COLOURS["teacher"], linewidth=1)
    _rows(axes, names)
    sides = f" {MINUS} ".join(
        ("student", "control") if metric.higher_is_better else ("control", "student")
    )
    axes.set_xlabel(_with_unit(f"test {metric.name}, {sides}", metric.difference_unit))


def _draw_scores(axes: "Axes", record: RunRecord) -> None:
    metric = record.metric
    for row, model in enumerate(record.models):
        values = [metric.scale * run.test.last for run in model.runs if run.test.last is not None]
        colour = COLOURS.get(model.role, COLOURS["control"])
        axes.plot(values, [row] * len(values), "o", color=colour)
    _rows(axes, [model.role for model in record.models])
    axes.set_xlabel(_with_unit(f"test {metric.name}", metric.unit))


def plot_study(record: StudyRecord) -> "Figure":
    """Draw the test metric of each arm, best first: each seed, the mean, its 95 % interval.

    Dashed: the mean of the control, of each where there are several.

    Raises:
        MissingExtra: matplotlib is not installed.
        RunError: no arm has numbers yet.
    """
    if not record.scored:
        raise RunError(f"no arm of the study in {record.name} has numbers yet: nothing to draw")
    metric, short = record.metric, short_names(arm.name for arm in record.arms)
    figure = _figure(7.0, 1.2 + ROW * (len(record.scored) + 1))
    axes = figure.subplots()
    for row, (arm, found) in enumerate(record.scored):
        values = [metric.scale * run.test.last for run in arm.runs if run.test.last is not None]
        axes.plot(values, [row] * len(values), "o", markersize=4, color=COLOURS["control"],
                  alpha=0.6)  # fmt: skip
        half = None if found.half is None else metric.scale * found.half
        axes.errorbar([metric.scale * found.mean], [row], xerr=half, fmt="D", capsize=3,
                      color=COLOURS["student"])  # fmt: skip
    for about, theirs in control_scores(record).items():
        level = spread(theirs)
        if level is not None:
            axes.axvline(metric.scale * level.mean, color=COLOURS["teacher"], linestyle="--",
                         linewidth=1, label=f"control ({about})")  # fmt: skip
    _rows(axes, [short[arm.name] for arm, _ in record.scored])
    axes.set_xlabel(_with_unit(f"test {metric.name}", metric.unit))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def _rows(axes: "Axes", names: Sequence[str]) -> None:
    """A row per name, the first on top; a dollar in a name is no formula."""
    axes.set_yticks(range(len(names)), [name.replace("$", r"\$") for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)


def _with_unit(said: str, unit: str) -> str:
    return f"{said} ({unit})".replace("$", r"\$") if unit else said


def _figure(width: float, height: float) -> "Figure":
    """A figure of its own, that a notebook shows and no window needs."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("plot()", "matplotlib", "plot") from None

    class Drawing(Figure):  # type: ignore[misc]
        """A figure that a notebook shows by itself, with and without pyplot."""

        def _repr_png_(self) -> bytes:
            held = BytesIO()
            self.savefig(held, format="png", dpi=100)
            return held.getvalue()

    return Drawing(figsize=(width, height), layout="constrained")
