"""The parts of scores.json, products.json and environment.json, each from a value to a record."""

from stillhouse.report.record import (
    Accuracy,
    Data,
    Groups,
    Method,
    ModelRecord,
    Product,
    Served,
    TrainedRun,
    Verdict,
)
from stillhouse.report.values import flat, number, readings, rows, table, text, whole


def _accuracy(value: object) -> Accuracy:
    found = table(value)
    return Accuracy(last=number(found.get("last")), best=number(found.get("best")))


def _trained(value: object) -> TrainedRun:
    found = table(value)
    return TrainedRun(
        seed=whole(found.get("seed")),
        epochs=whole(found.get("epochs")),
        best_epoch=whole(found.get("best_epoch")),
        seconds=number(found.get("seconds")),
        reused=found.get("reused") is True,
        given=found.get("given") is True,
        validation=_accuracy(found.get("validation")),
        test=_accuracy(found.get("test")),
        heads={name: _accuracy(head) for name, head in table(found.get("heads")).items()},
        heads_validation={
            name: _accuracy(head) for name, head in table(found.get("heads_validation")).items()
        },
        diagnostics=readings(found.get("diagnostics")),
        notes={what: text(said) for what, said in table(found.get("notes")).items()},
    )


def read_model(value: object) -> ModelRecord:
    """Read one of ``models`` of scores.json."""
    found = table(value)
    return ModelRecord(
        role=text(found.get("role")),
        model=text(found.get("model")),
        parameters=whole(found.get("parameters")),
        size=whole(found.get("bytes")),
        runs=tuple(_trained(run) for run in rows(found.get("runs"))),
        head_sizes={name: whole(held) for name, held in table(found.get("heads_bytes")).items()},
    )


def read_data(value: object) -> Data:
    """Read ``data`` of scores.json; ``classes`` may be a number or the list of names."""
    found = table(value)
    named = rows(found.get("class_names")) or rows(found.get("classes"))
    image = tuple(whole(side) for side in rows(found.get("image")))
    return Data(
        name=text(found.get("name")),
        train=whole(found.get("train")),
        validation=whole(found.get("validation")),
        test=whole(found.get("test")),
        classes=whole(found.get("classes")) or len(named) or None,
        class_names=tuple(text(name) for name in named),
        image=tuple(side for side in image if side is not None),
    )


def read_method(value: object) -> Method:
    """Read ``method`` of scores.json."""
    found = table(value)
    return Method(
        name=text(found.get("name")),
        line=text(found.get("line")),
        paper=text(found.get("paper")),
        settings=flat(found.get("settings")),
    )


def read_verdict(value: object) -> Verdict | None:
    """Read ``verdict`` of scores.json; None if the run has not come to one."""
    found = table(value)
    if not found:
        return None
    return Verdict(
        word=text(found.get("word")),
        gain=number(found.get("gain")),
        low=number(found.get("low")),
        high=number(found.get("high")),
        confidence=number(found.get("confidence")),
        seeds=whole(found.get("seeds")),
        measure=text(found.get("measure")),
        gains=tuple(number(gain) for gain in rows(found.get("gains"))),
        sentence=text(found.get("sentence")),
    )


def read_served(value: object) -> Served | None:
    """Read ``teacher_served`` of scores.json; None where no teacher served."""
    found = table(value)
    if not found:
        return None
    return Served(
        cached=found.get("cached") is True,
        why=text(found.get("why")),
        seconds=number(found.get("seconds")),
        students=whole(found.get("students")),
    )


def read_product(value: object) -> Product:
    """Read one of ``products`` of products.json."""
    found = table(value)
    return Product(
        name=text(found.get("name")),
        file=text(found.get("file")),
        size=whole(found.get("bytes")),
        sha256=text(found.get("sha256")),
        what=text(found.get("what")),
    )


def read_groups(found: dict[str, object]) -> Groups:
    """Read environment.json: what lies flat comes first, without a heading."""
    flat_part = {key: item for key, item in found.items() if not isinstance(item, dict)}
    nested = [(key, flat(item)) for key, item in found.items() if isinstance(item, dict) and item]
    return ((("", flat(flat_part)),) if flat_part else ()) + tuple(nested)
