"""Embeddings that were learnt without labels, probed with those of a labelled set, once."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from torch import Tensor

from stillhouse.engine.stage import Stage
from stillhouse.records.probe import ProbeRecord, ProbeScore
from stillhouse.representations.linear_probe import fit_linear_probe
from stillhouse.representations.neighbours import TEMPERATURE, VOTERS, neighbour_votes
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.probe import Probe, labels_of
from stillhouse.runs.job.targets import embeddings
from stillhouse.runs.judging.scoring import HeldOutScores, ScoredModel
from stillhouse.runs.training.stage_run import LAST, StageRun, train
from stillhouse.runs.training.training import control_training

SUPERVISED = "supervised"


def probed(
    job: Job, scored: Sequence[ScoredModel], supervised: Sequence[StageRun]
) -> ProbeRecord | None:
    """All networks of a run on its probe; None where it has none.

    Args:
        job: that was run.
        scored: its teacher, controls and students, with the weights of their last epochs.
        supervised: the students that were trained with the labels of the probe.
    """
    probe = job.probe
    if probe is None:
        return None
    splits = probe.data.splits
    return ProbeRecord(
        data=splits.name,
        train=len(splits.train),
        test=len(splits.test),
        classes=len(splits.classes),
        neighbours=min(VOTERS, len(splits.train)),
        temperature=TEMPERATURE,
        scores=tuple(_scores(job, probe, scored, supervised)),
    )


def trained_with_labels(job: Job) -> list[StageRun]:
    """The student of each seed, trained on the labels of the probe under the same budget."""
    probe = job.probe
    if probe is None or probe.student is None or not job.recipe.control:
        return []
    labelled = replace(job, data=probe.data, student=probe.student, teacher=None)
    asked = [control_training(labelled, seed) for seed in job.recipe.seeds]
    return [train(replace(each, role=SUPERVISED)) for each in asked]


def _scores(
    job: Job, probe: Probe, scored: Sequence[ScoredModel], supervised: Sequence[StageRun]
) -> Iterator[ProbeScore]:
    for one in scored:
        if one.role == "teacher" and job.teacher is not None:
            yield _score(one.role, one.seed, job.teacher.alone(one.module), probe)
        elif one.role in ("control", "student"):
            yield _score(one.role, one.seed, job.scored_stage(one.module), probe)
    test = HeldOutScores()
    for run in supervised:
        own = next(iter(test.of(run, run.opens).values()))[LAST]
        stage = run.training.job.control_stage(run.module(LAST))
        yield _score(SUPERVISED, run.training.settings.seed, stage, probe, own)


def _score(
    role: str, seed: int, stage: Stage, probe: Probe, own: float | None = None
) -> ProbeScore:
    data = probe.data
    known = embeddings(stage, data.plain(data.splits.train))
    asked = embeddings(stage, data.plain(data.splits.test))
    labels, right = labels_of(probe)
    linear = fit_linear_probe(asked, known, labels)
    return ProbeScore(
        role=role,
        seed=seed,
        neighbours=_share(neighbour_votes(asked, known, labels).argmax(1), right),
        linear=_share(linear.predicted, right),
        strength=linear.strength,
        converged=linear.converged,
        own=own,
    )


def _share(predicted: Tensor, right: Tensor) -> float:
    return float((predicted == right).double().mean())
