"""config.json of a student's folder, out of a job and its scores."""

from torch import nn

from stillhouse.deploy.config import NetworkFacts, StudentConfig
from stillhouse.deploy.predictor import STUDENT
from stillhouse.deploy.preprocessing import Preprocessing
from stillhouse.engine.heads import NO_HEAD, find_head
from stillhouse.models.cosine_head import CosineHead
from stillhouse.recipes.choices import IMPORT
from stillhouse.records.environment import environment
from stillhouse.records.run import Scores
from stillhouse.records.verdict import Verdict
from stillhouse.runs.job.derived import DerivedNetwork
from stillhouse.runs.job.job import Job
from stillhouse.runs.training.stage_run import StageRun
from stillhouse.students.quantised import is_quantised

PACKAGES = ("stillhouse", "torch")


def student_config(
    job: Job,
    run: StageRun,
    scores: Scores,
    module: nn.Module,
    wanted: Preprocessing,
) -> StudentConfig:
    """What the folder says of itself; ``wanted``: what its program takes."""
    metric, data = job.task.metric, job.data
    (student,) = [model for model in scores.models if model.role == STUDENT]
    versions = environment(data.platform)["packages"]
    epoch = f"seed {run.training.settings.seed}, last epoch ({run.epochs})"
    return StudentConfig(
        task=job.task.name,
        classes=tuple(map(str, data.splits.classes)),
        output="embedding" if job.task.measured == "embedding" else "logits",
        input=wanted,
        network=_network(job, module, student.parameters),
        title=scores.title,
        method=scores.method.name,
        test={metric.name: float(student.runs[0].test.last or 0.0)},
        measure=f"Test {metric.name}, last epoch",
        verdict=_said(scores.verdict),
        trained_on=f"{scores.data.name} ({scores.data.train:,} training {data.noun})",
        epoch=epoch,
        created=scores.created,
        versions={name: str(versions[name]) for name in PACKAGES if name in versions},
    )


def _said(verdict: Verdict | None) -> str:
    return "" if verdict is None or verdict.gain is None else verdict.sentence


def _network(job: Job, module: nn.Module, parameters: int) -> NetworkFacts:
    network, section = job.student, job.student.section
    derived = network if isinstance(network, DerivedNetwork) else None
    whose = None if derived is None else derived.named
    made = (derived is not None and whose is None) or is_quantised(module)
    own = network.source is not None or section.model.startswith(IMPORT)
    path = None if made or own else (section.head_path or find_head(module, who=STUDENT))
    head = dict(module.named_modules()).get(path) if path else None
    return NetworkFacts(
        model=section.model if whose is None else whose.model,
        by_name=not made and not own,
        classes=network.classes,
        channels=network.channels,
        size=network.size,
        arguments=dict((whose or section).arguments),
        parameters=parameters,
        head_scale=head.scale if isinstance(head, CosineHead) else None,
        headless=path == NO_HEAD or isinstance(head, nn.Identity),
        shared=whose is not None,
    )
