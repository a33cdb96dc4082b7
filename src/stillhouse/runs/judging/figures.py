"""What the task measures of whole tables: of the test set, and of classes that were held out."""

from collections.abc import Sequence

from stillhouse.records.answers import LABEL, Answers
from stillhouse.records.figures import TableFigures
from stillhouse.runs.job.job import Job
from stillhouse.runs.judging.scoring import ScoredModel


def answers_of(scored: Sequence[ScoredModel], table: str = "test") -> Answers:
    """What all networks said of the rows of the test set, or of the classes held out ('unseen')."""
    known = {
        (one.role, one.seed): one.unseen if table == "unseen" else one.answers for one in scored
    }
    labels = [said[LABEL] for said in known.values() if LABEL in said]
    return Answers(
        labels[0] if labels else None,
        {key: {n: v for n, v in said.items() if n != LABEL} for key, said in known.items()},
    )


def figures_of(job: Job, scored: Sequence[ScoredModel]) -> tuple[TableFigures, ...]:
    """All figures of a run, a record for each table that has some."""
    data, judge = job.data, job.task.of_unseen
    classes = tuple(map(str, data.splits.classes))
    found = [job.task.figures(answers_of(scored), data.test.pairs, "test", classes=classes)]
    if data.unseen is not None and judge is not None:
        unseen = judge.figures(
            answers_of(scored, "unseen"), data.unseen.pairs, "unseen", classes=classes
        )
        found.append(unseen and _own_embedding_alone(unseen, scored))
    return tuple(each for each in found if each is not None)


def _own_embedding_alone(figures: TableFigures, scored: Sequence[ScoredModel]) -> TableFigures:
    """With a word on inferences that have no embedding of their own."""
    labels = [label for one in scored if one.role == "student" for label in one.test]
    others = [label for label in dict.fromkeys(labels) if label not in ("student", "own head")]
    if not others:
        return figures
    said = f"Students are compared by their own embedding alone, not by {', '.join(others)}."
    return figures.model_copy(update={"notes": (*figures.notes, said)})
