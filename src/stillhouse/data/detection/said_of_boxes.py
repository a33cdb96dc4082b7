"""What annotations say of a box beside its place: its area, its marks, the name of its class."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stillhouse.data.detection.annotations import Floats
from stillhouse.errors import DataError


def areas(given: Sequence[object], where: str) -> Floats:
    """Areas of boxes as they are annotated, [M]; nan where none is given, or 0.

    Raises:
        DataError: one is no number, negative, or not finite.

    >>> areas([12, None], "a.png").tolist()
    [12.0, nan]
    """
    wrong = [
        each
        for each in given
        if not (each is None or (isinstance(each, int | float) and 0 <= each < float("inf")))
    ]
    if wrong:
        raise DataError(f"{where}: the area of a box is {wrong[0]!r}; give a number, or none")
    return np.array([each or np.nan for each in given], dtype=float)


def flags(given: Sequence[object], where: str) -> npt.NDArray[np.bool_]:
    """Whether boxes are marked, as a crowd or as difficult, [M]; None is no.

    Raises:
        DataError: a mark is neither 0 nor 1.

    >>> flags([0, 1, True, None], "a.png").tolist()
    [False, True, True, False]
    """
    wrong = [each for each in given if each is not None and each not in (0, 1)]
    if wrong:
        raise DataError(f"{where}: a box is marked {wrong[0]!r} (iscrowd, difficult); give 0 or 1")
    return np.array([each == 1 for each in given], dtype=bool)


def class_name(given: object, where: str) -> str:
    """The name of a class, which is text, or a number that is its name.

    Raises:
        DataError: it is neither, or empty.

    >>> class_name("cell", "a.json"), class_name(5, "a.json")
    ('cell', '5')
    """
    number = isinstance(given, int) and not isinstance(given, bool)
    text = isinstance(given, str) and given.strip() and _encodes(given)
    if not (number or text):
        raise DataError(f"{where}: the name of a class is {given!r}; give words")
    return str(given)


def _encodes(text: str) -> bool:
    """Whether text holds no half of a surrogate pair, which no file can be written with."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)
