"""Is it worth it? Accuracy kept, size saved, training time spent; computed from the record.

Two decisions hang on a run. May the small model stand in for the large one: accuracy kept and
size. Was distilling it better than just training it: the verdict, and the time of teacher and
student against that of the control.
"""

from dataclasses import dataclass

from stillhouse.diagnostics.spread import spread
from stillhouse.report.record import ModelRecord, RunRecord
from stillhouse.report.wording import compared, duration, percent, points, times


@dataclass(frozen=True)
class Worth:
    """Ratios that answer the question; None where the run does not tell.

    ``kept``: student / teacher test accuracy. ``smaller``: teacher / student size. ``cost``:
    seconds of teacher and student / seconds of the control, per run.
    """

    answer: str
    sentences: tuple[str, ...]
    kept: float | None = None
    smaller: float | None = None
    cost: float | None = None


def mean_test_accuracy(model: ModelRecord | None) -> float | None:
    """Return the mean test accuracy of the last epoch over the seeds of a model."""
    found = spread(run.test.last for run in model.runs) if model else None
    return found.mean if found else None


def mean_seconds(model: ModelRecord | None) -> float | None:
    """Return the mean training time of a model's runs; None if none is told.

    Runs that were reused may carry no time of their own; those that do are counted.
    """
    found = spread(run.seconds for run in model.runs) if model else None
    return found.mean if found else None


def compression(record: RunRecord, model: ModelRecord | None) -> float | None:
    """Return how many times the teacher's bytes a model's are (parameters if no bytes are told).

    >>> teacher = ModelRecord("teacher", "resnet20", 272474, 1104280)
    >>> student = ModelRecord("student", "resnet8w8", 43000, 175000)
    >>> round(compression(RunRecord("demo", models=(teacher, student)), student), 1)
    6.3
    """
    teacher = record.role("teacher")
    if teacher is None or model is None:
        return None
    return _ratio(teacher.size, model.size) or _ratio(teacher.parameters, model.parameters)


def worth(record: RunRecord) -> Worth:
    """Answer whether the distillation was worth it, as far as the run tells."""
    teacher, student = record.role("teacher"), record.role("student")
    kept = _ratio(mean_test_accuracy(student), mean_test_accuracy(teacher))
    smaller = compression(record, student)
    before, alone = _seconds_before(record), mean_seconds(record.role("control"))
    learning = mean_seconds(student)
    spent = None if before is None or learning is None else before + learning
    cost = _ratio(spent, alone)
    sentences = (_stands_in(record, kept, smaller), _time(record, spent, alone), _served(record))
    return Worth(
        answer=_answer(record, cost),
        sentences=tuple(sentence for sentence in sentences if sentence),
        kept=kept,
        smaller=smaller,
        cost=cost,
    )


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above and below else None


def _seconds_before(record: RunRecord) -> float | None:
    """Sum what came before a student: teachers, assistants between, its share of the teacher cache."""
    earlier = [model for model in record.models if model.role not in ("student", "control")]
    times_told = [mean_seconds(model) for model in earlier]
    served = record.served
    if served is not None and served.cached and served.seconds and served.students:
        times_told.append(served.seconds / served.students)
    return None if None in times_told else sum(told for told in times_told if told is not None)


def _answer(record: RunRecord, cost: float | None) -> str:
    verdict = record.verdict
    if verdict is None or not record.finished:
        return "Not finished: this cannot be answered yet."
    gain, pricier = points(verdict.gain), cost is not None and cost > 1
    if cost is None:
        price = f"Yes: {gain} points; what the training cost is not told."
    elif pricier:
        price = f"Yes, where {gain} points are worth {times(cost)} the training time."
    else:
        price = f"Yes: {gain} points, in no more training time."
    answers = {
        "helps": price,
        "hurts": "No: the same model trained alone is more accurate"
        + (", and cheaper." if pricier else "."),
        "no difference shown": "Not shown: the same model trained alone may be as accurate"
        + (", and is cheaper." if pricier else "."),
        "one seed": "One seed cannot tell: a second run could turn the result round. "
        "Three seeds or more give an interval.",
        "no control": "It cannot be told: no control was trained, so nothing says what the "
        "small model reaches without a teacher.",
    }
    return answers.get(verdict.word, "The run gives no verdict that answers this.")


def _stands_in(record: RunRecord, kept: float | None, smaller: float | None) -> str:
    teacher, student = record.role("teacher"), record.role("student")
    if kept is None or teacher is None or student is None:
        return ""
    numbers = (
        f"{percent(mean_test_accuracy(student))} against {percent(mean_test_accuracy(teacher))}"
    )
    sentence = f"The student keeps {percent(kept, 1)} of the teacher's test accuracy ({numbers})"
    if smaller is None:
        return sentence + "."
    return sentence + f" and is {compared(smaller, 'smaller', 'larger', 'of the same size')}."


def _served(record: RunRecord) -> str:
    """How the teacher served, as the run said it."""
    served = record.served
    if served is None or not served.why:
        return ""
    sentence = served.why[:1].upper() + served.why[1:] + "."
    if served.cached and served.seconds:
        sentence += f" TeacherCache took {duration(served.seconds)}, shared by all students."
    return sentence


def _time(record: RunRecord, spent: float | None, alone: float | None) -> str:
    if spent is None:
        return ""
    teacher = record.role("teacher")
    given = teacher is not None and any(run.given for run in teacher.runs)
    reused = teacher is not None and any(run.reused for run in teacher.runs)
    if teacher is None or given:
        sentence = f"Training the student took {duration(spent)}"
    else:
        sentence = f"Training teacher and student took {duration(spent)}"
    if alone is not None:
        sentence += f", the control {duration(alone)}"
        ratio = _ratio(spent, alone)
        sentence += f" ({times(ratio)} the time)." if ratio else "."
    else:
        sentence += "."
    if given:
        sentence += " The teacher was given: its training is not counted."
    elif reused:
        counted = mean_seconds(teacher)
        known = "is counted all the same" if counted else "is not counted"
        sentence += f" The teacher was reused from an earlier run: its training {known}."
    return sentence
