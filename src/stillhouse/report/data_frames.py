"""The numbers of a run and of a study as pandas DataFrames, unscaled (accuracy from 0 to 1)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stillhouse.records.run import ModelRecord, SeedScores
from stillhouse.records.stage import Epoch
from stillhouse.records.study import Arm, Comparison
from stillhouse.report.record import RunRecord
from stillhouse.report.study_record import StudyRecord
from stillhouse.report.study_rows import controls
from stillhouse.verdict.spread import spread

if TYPE_CHECKING:
    from pandas import DataFrame

SCORES = ("test", "test_half", "test_best", "validation", "validation_best")


def table_frame(record: RunRecord) -> "DataFrame":
    """A row per network, by its role, and below it one per further inference.

    ``test``, ``validation``: the metric of the last epoch, mean over seeds; ``test_half``: the
    half-width of its 95 % interval; ``..._best``: of the epoch that is best on validation.
    """
    rows: dict[str, dict[str, Any]] = {}
    for model in record.models:
        rows[_unused(model.role, rows)] = _network(model)
        for head in dict.fromkeys(name for run in model.runs for name in run.heads):
            rows[f"{model.role} by {head}"] = _inference(model, head)
    return _framed(rows, "role")


def _network(model: ModelRecord) -> dict[str, Any]:
    runs = model.runs
    return {
        "model": model.model,
        "seeds": len(runs),
        **_scores(
            (run.test.last for run in runs),
            (run.test.best for run in runs),
            (run.validation.last for run in runs),
            (run.validation.best for run in runs),
        ),
        "parameters": model.parameters,
        "bytes": model.bytes,
        "seconds": _mean(run.seconds for run in runs),
    }


def _inference(model: ModelRecord, head: str) -> dict[str, Any]:
    test = [run.heads[head] for run in model.runs if head in run.heads]
    known = [run.heads_validation[head] for run in model.runs if head in run.heads_validation]
    return {
        "model": model.model,
        "seeds": len(test),
        **_scores(
            (each.last for each in test),
            (each.best for each in test),
            (each.last for each in known),
            (each.best for each in known),
        ),
        "parameters": None,
        "bytes": model.heads_bytes.get(head),
        "seconds": None,
    }


def _scores(*values: Iterable[float | None]) -> dict[str, float | None]:
    last, best, validation, validation_best = (spread(each) for each in values)
    found = (last, last, best, validation, validation_best)
    ends = ["half" if name == "test_half" else "mean" for name in SCORES]
    return {
        name: None if each is None else getattr(each, end)
        for name, each, end in zip(SCORES, found, ends, strict=True)
    }


def _mean(values: Iterable[float | None]) -> float | None:
    found = spread(values)
    return None if found is None else found.mean


def runs_frame(record: RunRecord) -> "DataFrame":
    """A row per training: whose, its seed and epochs, its scores, its seconds."""
    return _listed(
        {
            "role": model.role,
            "model": model.model,
            "seed": run.seed,
            "epochs": run.epochs,
            "best_epoch": run.best_epoch,
            **_of_seed(run),
            "training": run.training,
            "given": run.given,
            "reused": run.reused,
        }
        for model in record.models
        for run in model.runs
    )


def _of_seed(run: SeedScores) -> dict[str, Any]:
    return {
        "test": run.test.last,
        "test_best": run.test.best,
        "validation": run.validation.last,
        "validation_best": run.validation.best,
        "seconds": run.seconds,
    }


def epochs_frame(record: RunRecord) -> "DataFrame":
    """A row per epoch of each training: the metric on validation, and the terms of its loss."""

    def row(epoch: Epoch) -> dict[str, Any]:
        terms = {f"term {name}": value for name, value in epoch.terms.items()}
        about = {"role": epoch.stage, "seed": epoch.seed, "epoch": epoch.epoch}
        return {**about, "validation": record.validation(epoch), **terms}

    return _listed(map(row, record.epochs))


def arms_frame(record: StudyRecord) -> "DataFrame":
    """A row per arm, best first, and those without numbers last.

    ``gain``: over its control, with ``low`` and ``high`` of its 95 % interval alone, and ``word``
    and ``p`` corrected for all arms; ``over_...`` the same over the arm that others are compared
    with.
    """
    ranked = [arm.name for arm in record.ranked]
    rest = [arm.name for arm in record.arms if arm.name not in ranked]
    by_name = {arm.name: arm for arm in record.arms}
    return _framed({name: _arm(by_name[name], record) for name in (*ranked, *rest)}, "arm")


def _arm(arm: Arm, record: StudyRecord) -> dict[str, Any]:
    found, runs = spread(run.test.last for run in arm.runs), arm.runs
    rival = {} if record.against is None else _gain("over_", arm.over_against)
    return {
        "state": arm.state,
        "method": arm.method,
        "seeds": len(runs),
        "test": None if found is None else found.mean,
        "test_half": None if found is None else found.half,
        "validation": _mean(run.validation.last for run in runs),
        **_gain("", arm.gain),
        **rival,
        "parameters": arm.parameters.get("student"),
        "seconds": _mean(run.seconds for run in runs),
    }


def _gain(prefix: str, found: Comparison | None) -> dict[str, Any]:
    return {
        f"{prefix}gain": None if found is None else found.mean,
        f"{prefix}low": None if found is None else found.low,
        f"{prefix}high": None if found is None else found.high,
        f"{prefix}p": None if found is None else found.p_holm,
        f"{prefix}word": None if found is None else found.word,
    }


def study_runs_frame(record: StudyRecord) -> "DataFrame":
    """A row per student, per control and per teacher of each arm; shared ones stand at each."""
    return _listed(
        {"arm": arm.name, "role": role, "seed": run.seed, **_of_seed(run)}
        for arm in record.arms
        for role, runs in (
            ("teacher", arm.teacher),
            ("control", arm.controls),
            ("student", arm.runs),
        )
        for run in runs
    )


def control_scores(record: StudyRecord) -> Mapping[str, Sequence[float]]:
    """Test scores of the controls of a study, each control once, by what it is."""
    return {
        one.about: [run.test.last for run in one.runs if run.test.last is not None]
        for one in controls(record)
    }


def _unused(name: str, used: Mapping[str, Any]) -> str:
    """The name, numbered where it is used: members of an ensemble have one role."""
    count = 2
    free = name
    while free in used:
        free, count = f"{name} {count}", count + 1
    return free


def _framed(rows: Mapping[str, Mapping[str, Any]], index: str) -> "DataFrame":
    frame = _listed(rows.values())
    frame.index = list(rows)
    frame.index.name = index
    return frame


def _listed(rows: Iterable[Mapping[str, Any]]) -> "DataFrame":
    from pandas import DataFrame

    return DataFrame(list(rows))
