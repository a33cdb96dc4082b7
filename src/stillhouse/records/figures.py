"""Figures of a table: what is measured of it beside the headline, of every network of a run.

A task gives them (`Task.figures`), with intervals over what the table shows (people, images), the
gain of the student over the control, and plots. Whoever shows them knows nothing of the task.
"""

from pydantic import Field

from stillhouse.records.metric import Metric
from stillhouse.records.schema import Record


class Estimate(Record):
    """One figure of one network.

    Args:
        value: mean over seeds.
        by_seed: in the order of the network's seeds.
        low, high: 95 % interval for other people (or whatever is resampled), with these networks;
            None where it is not known.
    """

    value: float
    by_seed: tuple[float, ...]
    low: float | None = None
    high: float | None = None


class NetworkFigures(Record):
    """All figures of a role, by the name of their metric."""

    role: str
    seeds: tuple[int, ...]
    figures: dict[str, Estimate]


class FigureGain(Record):
    """A figure of the student against the control's, paired by seed; positive is better.

    Args:
        value: mean over seeds.
        by_seed: of the seeds that both have.
        low, high: 95 % interval for other people, with these networks, who are the same for both.
        seeds_low, seeds_high: 95 % t-interval for other seeds, with these people; None below three.
    """

    value: float
    by_seed: tuple[float, ...]
    low: float | None = None
    high: float | None = None
    seeds_low: float | None = None
    seeds_high: float | None = None


class Series(Record):
    """One line (or the bars) of a plot.

    Args:
        role: whose; "" of nobody.
        name: as the legend says it.
        x, y: as they are shown.
        marked: points that stand out.
    """

    role: str
    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    marked: tuple[tuple[float, float], ...] = ()


class Plot(Record):
    """A picture of figures.

    Args:
        title, note: what it shows.
        x, y: what its axes are.
        log_x: whether x is on a logarithmic axis.
        bars: whether it has bars at x instead of lines.
        small: whether it is one of several that stand side by side, as those with bars do.
    """

    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    note: str = ""
    log_x: bool = False
    bars: bool = False
    small: bool = False


class OfClass(Record):
    """A figure that is of one class.

    Args:
        name: of the class.
        metric: whose estimates and gain stand among the others of the table.
        count: how many rows or objects of it there are.
    """

    name: str
    metric: Metric
    count: int


class TableFigures(Record):
    """What is measured of one table.

    Args:
        table: 'test' or 'unseen'.
        title: a heading.
        about: what was compared, a sentence.
        over: what is resampled: 'people', 'classes'; "" where nothing is, and there are no
            intervals over it.
        count: how many of them.
        metrics: in the order in which they are shown.
        networks: in the order in which they were trained.
        gains: of student over control, by the name of the metric; empty without a control.
        notes: what was left out, and why, a sentence each.
        by_class: figures of one class each, in the order of the classes.
        counted: what of a class is counted: 'boxes'.
    """

    table: str
    title: str
    about: str
    over: str = ""
    count: int = 0
    metrics: tuple[Metric, ...]
    networks: tuple[NetworkFigures, ...]
    gains: dict[str, FigureGain] = Field({})
    notes: tuple[str, ...] = ()
    plots: tuple[Plot, ...] = ()
    by_class: tuple[OfClass, ...] = ()
    counted: str = ""

    def gain(self, metric: Metric) -> FigureGain | None:
        """The gain by this metric, where it is among the figures."""
        return self.gains.get(metric.name)
