"""The table of students in environments where Stillhouse is not."""

from collections.abc import Iterator, Sequence
from typing import Any

from marks import Results, table
from stillhouse.report.wording import count

TITLES = ("student, and by what it is used", "bytes", "the same", "largest difference", "test %")
FORMS = {
    "pt2": "`model.pt2`, torch and Pillow",
    "onnx": "ONNX, onnxruntime and Pillow",
    "onnx-int8": "int8 ONNX, the same",
}


def bare(results: Results, _: Sequence[str]) -> str:
    """Each student as trained, then in each form, on all of its test images."""
    (found,) = results.values()
    return table(TITLES, [row for each in found["students"] for row in _rows(each)])


def _rows(student: dict[str, Any]) -> Iterator[list[str]]:
    name = f"**{student['data']}**: `{student['student']}`, {student['figure']}"
    yield [name, "", "", "", _percent(student["test"])]
    for form in student["forms"]:
        yield [
            FORMS[form["form"]],
            count(form["bytes"]),
            f"{count(form['same'])} of {count(form['decided'])} {student['what']}",
            _difference(form["largest_difference"], student["scale"]),
            _percent(form["test"]),
        ]


def _difference(apart: float, scale: float) -> str:
    """Of two outputs, beside the largest one.

    >>> _difference(0.0, 12.1), _difference(4.8e-06, 12.1)
    ('0 of 12.1', '4.8e-06 of 12.1')
    """
    return f"{apart:.2g} of {scale:.3g}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
