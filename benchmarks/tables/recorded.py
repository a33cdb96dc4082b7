"""What only later result files hold, and what a file does not hold, said below its table."""

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from stillhouse.records.metric import ACCURACY, Metric
from stillhouse.records.own_code import called


def not_recorded(result: Mapping[str, Any]) -> str:
    """A line of what is not recorded, and one for each network that could have learnt more.

    Result files of earlier days have neither the metric on training rows nor an answer per test
    row; whoever reads the table should not look for them.
    """
    lacking = []
    if not any(_trained(result)):
        lacking.append("training accuracy (whether the control under-fits)")
    if not _has_rows(result):
        lacking.append("answers per test row (what other test rows would give)")
    if "study" in result and not result["study"].get("claims"):
        lacking.append("claims or a margin said before")
    arms = result.get("study", {}).get("arms", [])
    cautions: dict[str, list[str]] = {}
    for arm in arms:
        for said in arm.get("cautions", ()):
            cautions.setdefault(said, []).append(arm["name"])
    lines = [f"Not recorded: {'; '.join(lacking)}."] if lacking else []
    return "\n".join(
        [*lines, *(f"- {', '.join(names)}: {said}" for said, names in cautions.items())]
    )


def recorded(result: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Columns that later result files have: a title, and a cell by arm, or by what a control is.

    >>> arm = {"name": "kd", "student_model": "mlp", "epochs": 2, "runs": {"training": [0.9, 1.0]}}
    >>> recorded({"study": {"arms": [{**arm, "controls": {"training": [0.99, 0.99]}}]}})
    {'train, %': {'kd': '95.00', 'mlp, 2 epochs': '99.00'}}
    """
    told = result["study"].get("task", {}).get("metric")
    metric = ACCURACY if told is None else Metric.model_validate(told)
    trained: dict[str, str] = {}
    wider: dict[str, str] = {}
    for arm in result["study"]["arms"]:
        epochs = f"{arm['epochs']} epoch{'s' if arm['epochs'] > 1 else ''}"
        about = f"{called(arm['student_model'])}, {epochs}"
        for name, part in ((arm["name"], "runs"), (about, "controls")):
            known = [v for v in (arm.get(part) or {}).get("training", []) if v is not None]
            if known:
                trained[name] = metric.shown(statistics.fmean(known))
        rows = arm.get("with_rows")
        if rows and rows.get("low") is not None:
            wider[arm["name"]] = f"{metric.signed(rows['low'])} to {metric.signed(rows['high'])}"
    unit = f", {metric.unit}" if metric.unit else ""
    titles = {f"train{unit}": trained, "gain for other rows too": wider}
    return {title: cells for title, cells in titles.items() if cells}


def _trained(result: Mapping[str, Any]) -> Iterator[bool]:
    """Whether trainings tell their metric on training rows."""
    for arm in result.get("study", {}).get("arms", []):
        yield any(value is not None for value in arm["runs"].get("training", []))
    for model in result.get("scores", {}).get("models", []):
        yield any(run.get("training") is not None for run in model["runs"])


def _has_rows(result: Mapping[str, Any]) -> bool:
    """Whether verdicts have an interval for other rows as well."""
    arms = result.get("study", {}).get("arms", [])
    if any(arm.get("with_rows") or arm.get("figures") for arm in arms):
        return True
    return bool(((result.get("scores") or {}).get("verdict") or {}).get("with_rows"))
