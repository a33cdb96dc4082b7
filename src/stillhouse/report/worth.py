"""Is it worth it? How much is kept, size saved, training time spent.

Two decisions hang on a run. May the small model stand in for the large one: what it keeps of the
metric, and its size. Was distilling it better than just training it: the verdict, and the time of
teacher and student against that of the control.
"""

from dataclasses import dataclass

from stillhouse.records.run import ModelRecord
from stillhouse.report.record import RunRecord
from stillhouse.report.wording import compared, duration, in_words, milliseconds, percent, times
from stillhouse.verdict.judgement import EQUIVALENT, TOO_FEW
from stillhouse.verdict.spread import spread


@dataclass(frozen=True)
class Worth:
    """Ratios that answer the question; None where the run does not tell.

    ``kept``: student / teacher on the test metric; None where lower is better or a value is below
    zero, of which no share can be kept.
    ``smaller``: teacher / student size. ``cost``: seconds of teacher and student / seconds of the
    control, per run. ``faster``: teacher / student time of an answer, one image at once.
    """

    answer: str
    sentences: tuple[str, ...]
    kept: float | None = None
    smaller: float | None = None
    cost: float | None = None
    faster: float | None = None


def mean_test(model: ModelRecord | None) -> float | None:
    """Return the mean of the test metric, last epoch, over the seeds of a model."""
    found = spread(run.test.last for run in model.runs) if model else None
    return found.mean if found else None


def mean_seconds(model: ModelRecord | None) -> float | None:
    """Return the mean training time of a model's runs; None if none is told.

    Runs that were reused may carry no time of their own; those that do are counted.
    """
    found = spread(run.seconds for run in model.runs) if model else None
    return found.mean if found else None


def compression(record: RunRecord, model: ModelRecord | None) -> float | None:
    """Return how many times the teacher's bytes a model's are."""
    teacher = record.role("teacher")
    return _ratio(teacher.bytes, model.bytes) if teacher and model else None


def worth(record: RunRecord) -> Worth:
    """Answer whether the distillation was worth it, as far as the run tells."""
    teacher, student = record.role("teacher"), record.role("student")
    ends = mean_test(student), mean_test(teacher)
    kept = _share_kept(record, *ends)
    smaller = compression(record, student)
    before, alone = _seconds_before(record), mean_seconds(record.role("control"))
    learning = mean_seconds(student)
    spent = None if before is None or learning is None else before + learning
    cost = _ratio(spent, alone)
    sentences = (
        _stands_in(record, kept, smaller),
        _answers(record),
        _time(record, spent, alone),
        _sooner(record),
        _served(record),
    )
    return Worth(
        answer=_answer(record, cost),
        sentences=tuple(sentence for sentence in sentences if sentence),
        kept=kept,
        smaller=smaller,
        cost=cost,
        faster=faster(record),
    )


def faster(record: RunRecord) -> float | None:
    """How many times the student's time of an answer the teacher's is, one image at once."""
    if record.costs is None:
        return None
    found = {each.name: each.milliseconds.get("1") for each in record.costs.networks}
    student = found.get("student", found.get("student after distillation"))
    return _ratio(found.get("teacher"), student)


def _share_kept(record: RunRecord, mine: float | None, its: float | None) -> float | None:
    """Student / teacher; None where there is no share, as of errors and of negative numbers."""
    negative = any(value is not None and value < 0 for value in (mine, its))
    return _ratio(mine, its) if record.metric.higher_is_better and not negative else None


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above and below else None


def _seconds_before(record: RunRecord) -> float | None:
    """Sum what came before a student: teachers, assistants, its share of the teacher cache."""
    earlier = [model for model in record.models if model.role not in ("student", "control")]
    times_told = [mean_seconds(model) for model in earlier]
    served = record.scores.teacher_served if record.scores else None
    if served is not None and served.cached and served.seconds and served.students:
        times_told.append(served.seconds / served.students)
    return None if None in times_told else sum(told for told in times_told if told is not None)


def _answer(record: RunRecord, cost: float | None) -> str:
    verdict = record.verdict
    if verdict is None or not record.finished:
        return "Not finished: this cannot be answered yet."
    metric, pricier = record.metric, cost is not None and cost > 1
    gain = metric.change(verdict.gain)
    alone = "the same model " + ("untrained" if record.untrained_control else "trained alone")
    if record.untrained_control:
        price = f"Yes: {gain} over the same model untrained."
    elif cost is None:
        price = f"Yes: {gain}; what the training cost is not told."
    elif pricier:
        price = f"Yes: {gain}, for {in_words(cost)} the training time."
    else:
        price = f"Yes: {gain}, in no more training time."
    answers = {
        "helps": price,
        "hurts": f"No: {alone} is {metric.better}" + (", and cheaper." if pricier else "."),
        "no difference shown": f"Not shown: {alone} may be {metric.as_good}"
        + (", and is cheaper." if pricier else "."),
        EQUIVALENT: f"No difference that matters: {alone} is {metric.as_good}"
        + (", and cheaper." if pricier else "."),
        TOO_FEW: "Too few seeds to tell: another run could turn the result round. "
        "Three seeds or more give a verdict.",
        "no control": "It cannot be told: no control was trained, so nothing says what the "
        "small model reaches without a teacher.",
    }
    return answers.get(verdict.word, "The run gives no verdict that answers this.")


def _stands_in(record: RunRecord, kept: float | None, smaller: float | None) -> str:
    teacher, student = record.role("teacher"), record.role("student")
    metric, ends = record.metric, (mean_test(student), mean_test(teacher))
    if teacher is None or student is None or None in ends:
        return ""
    mine, its = (metric.with_unit(value) for value in ends)
    sentence = f"The student's test {metric.name} is {mine}, the teacher's {its}"
    who = "; the student"
    if kept is not None:
        share = f"{percent(kept, 1)} of the teacher's test {metric.name}"
        sentence, who = f"The student keeps {share} ({mine} against {its})", " and"
    if smaller is None:
        return sentence + "."
    return f"{sentence}{who} is {compared(smaller, 'smaller', 'larger', 'of the same size')}."


def _sooner(record: RunRecord) -> str:
    """That a control which still rises may get there alone; empty where it does not."""
    if not record.control_rises:
        return ""
    return (
        "The control had not learnt all it could when it was stopped: given the time that teacher "
        "and student took, it may get as far alone."
    )


def _answers(record: RunRecord) -> str:
    """How fast both answer, in one sentence; empty where it was not measured."""
    ratio = faster(record)
    if ratio is None or record.costs is None:
        return ""
    teacher, student = record.costs.networks[0], record.costs.networks[-1]
    times_told = [
        f"{milliseconds(network.milliseconds['1'])} for one image"
        + (f" and {milliseconds(many)} for 64" if (many := network.milliseconds.get("64")) else "")
        for network in (student, teacher)
    ]
    word = compared(ratio, "faster", "slower", "as fast as the teacher")
    return f"The student answers {word}: {times_told[0]}, the teacher {times_told[1]}."


def _served(record: RunRecord) -> str:
    """How the teacher served, as the run said it."""
    served = record.scores.teacher_served if record.scores else None
    if served is None or not served.why:
        return ""
    sentence = served.why[:1].upper() + served.why[1:] + "."
    if served.cached and served.seconds:
        sentence += f" Caching it took {duration(served.seconds)}, shared by all students."
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
