"""Agreement with the teacher, and rows on which student and control disagree."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stillhouse.records.answers import Answers
from stillhouse.records.examples import Examples
from stillhouse.report.by_class import class_names
from stillhouse.report.record import RunRecord
from stillhouse.report.transfer_gallery import picture_address

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Agreement:
    """How often a role says what the teacher says; means over seeds.

    Args:
        rows: the share of test rows with the teacher's prediction.
        mistakes: of the rows that the teacher gets wrong, the share where it makes the same
            mistake; None where the teacher is always right.
    """

    role: str
    rows: float
    mistakes: float | None


@dataclass(frozen=True)
class Example:
    """One row that one of both gets right; the picture as a data: address.

    Args:
        label: its class.
        student, control: in how many of the seeds it is right.
        teacher: what the teacher says, and how sure it is; empty without one.
    """

    picture: str
    row: int
    label: str
    student: str
    control: str
    teacher: str


def agreement(record: RunRecord) -> tuple[Agreement, ...]:
    """How often control and student say what the teacher says; empty where it is not told."""
    answers = record.answers
    if answers is None or answers.label is None:
        return ()
    found = (_agreement(answers, role) for role in ("control", "student"))
    return tuple(each for each in found if each is not None)


def _agreement(answers: Answers, role: str) -> Agreement | None:
    label, shares, mistakes = answers.label, [], []
    for seed, mine in answers.seeds(role, "predicted").items():
        teacher = _teacher(answers, seed, "predicted")
        if teacher is None or label is None:
            return None
        same, wrong = mine == teacher, teacher != label
        shares.append(same.double().mean().item())
        if bool(wrong.any()):
            mistakes.append(same[wrong].double().mean().item())
    if not shares:
        return None
    return Agreement(
        role, sum(shares) / len(shares), sum(mistakes) / len(mistakes) if mistakes else None
    )


def _teacher(answers: Answers, seed: int, name: str) -> "Tensor | None":
    """The teacher of a seed: its own, or the one that all seeds have."""
    known = answers.seeds("teacher", name)
    return known.get(seed, next(iter(known.values()))) if known else None


def examples(record: RunRecord) -> tuple[tuple[str, tuple[Example, ...]], ...]:
    """Rows that the student wins and those that it loses, each under its heading."""
    kept, answers = record.examples, record.answers
    if kept is None or answers is None or answers.label is None:
        return ()
    if kept.captions is not None:
        return _captioned(kept, kept.captions)
    sides = (
        (kept.titles[0], kept.won, kept.won_image),
        (kept.titles[1], kept.lost, kept.lost_image),
    )
    return tuple(
        (title, tuple(_example(record, answers, row, image) for row, image in zip(
            rows.tolist(), images, strict=True)))
        for title, rows, images in sides
        if len(rows)
    )  # fmt: skip


def _captioned(
    kept: Examples, captions: tuple[tuple[str, ...], tuple[str, ...]]
) -> tuple[tuple[str, tuple[Example, ...]], ...]:
    """Pictures whose words were settled when they were chosen."""
    sides = zip(
        kept.titles, (kept.won, kept.lost), (kept.won_image, kept.lost_image), captions, strict=True
    )
    return tuple(
        (title, tuple(
            Example(picture_address(image), int(row), caption, "", "", "")
            for row, image, caption in zip(rows, images, words, strict=True)
        ))
        for title, rows, images, words in sides
        if len(rows)
    )  # fmt: skip


def _example(record: RunRecord, answers: Answers, row: int, image: "Tensor") -> Example:
    names = class_names(record)
    label = answers.label
    counts = {}
    for role in ("student", "control"):
        bits = [int(values[row]) for values in answers.right(role, record.metric).values()]
        counts[role] = f"{sum(bits)} of {len(bits)}"
    said, sure = (_teacher(answers, -1, kind) for kind in ("predicted", "confidence"))
    teacher = ""
    if said is not None and sure is not None:
        teacher = f"{names[int(said[row])]}, {sure[row].item():.2f}"
    number = 0 if label is None else int(label[row])
    return Example(
        picture_address(image), row, names[number], counts["student"], counts["control"], teacher
    )
