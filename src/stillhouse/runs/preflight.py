"""Before an epoch is spent: whether all fits together, and what a run would do on two batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor

from stillhouse.cache import cached_parts
from stillhouse.data.mixing import LABEL
from stillhouse.engine.balance import check_balance
from stillhouse.engine.evaluate import measured
from stillhouse.engine.flags import Flags
from stillhouse.engine.gradients import gradient_norms
from stillhouse.engine.nodes import Role
from stillhouse.engine.objective import Objective
from stillhouse.engine.signals import EMBEDDING, LOGITS, Signals, shape_text
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Trainer, opened
from stillhouse.engine.update_objective import UpdateObjective
from stillhouse.errors import DataError, RecipeError, WiringError
from stillhouse.faults import first_line
from stillhouse.models.given import set_eval
from stillhouse.models.learnable import check_learnable
from stillhouse.recipes.networks import ancestors, each_student_its_own
from stillhouse.runs.job.heads import watching_head
from stillhouse.runs.job.inputs import enlarged_caution
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.peers import check_apart
from stillhouse.runs.job.teacher import Teacher
from stillhouse.runs.training.centres import give_centres
from stillhouse.runs.training.scales import give_scales
from stillhouse.runs.training.serving_plan import TEACHER, Planner, need_of
from stillhouse.runs.training.teacher_check import check_given
from stillhouse.runs.training.teacher_findings import TeacherCheck, output_caution
from stillhouse.runs.training.teachers import Teachers
from stillhouse.runs.training.transfer import check_transfer, stand_in
from stillhouse.tasks import AdjustedClassification, Classification

BATCHES = 2


def check(job: Job) -> None:
    """Wire every stage once, before anything is trained.

    Raises:
        WiringError, ModelError, WeightsError, RecipeError, CacheError: with all that does not fit.
    """
    seed = job.recipe.seeds[0]

    def dry_run(stage: Stage, seed: int, teacher: Teacher) -> None:
        learns = replace(job, data=teacher.trained_on(job.data))
        seen = _dry_run(learns, stage, seed, teacher.section.head_now)
        _check_labelled(learns, stage, teacher.role)
        if not (teacher.given and teacher is job.teacher):  # of that one all is told later
            _caution_of_outputs(job, teacher.role, seen)

    _check_one_embedding(job)
    untrained = Teachers(job, dry_run=dry_run).trained(seed)
    teacher = None if untrained is None else untrained.module
    job = replace(job, student=job.student.out_of(teacher))
    if teacher is not None:
        job.teacher_identity(teacher)  # whose state may be none that can be kept
    if teacher is not None and job.recipe.transfer is not None:
        check_transfer(job, teacher)
    seen_by_student, start = stand_in(job), job.start(seed)
    check_apart(start.student, start.peers)
    given = bool(job.teacher and job.teacher.given)
    job.student.check_smaller(trained=given)
    stage = seen_by_student.student_stage(start, teacher)
    if job.recipe.balance is not None:
        check_balance(stage)
    cached = job.recipe.cache.use == "always" and teacher is not None and job.method.needs_teacher
    asked = cached_parts(stage, TEACHER) if cached else None  # an opened stage has sized bridges
    seen = _dry_run(seen_by_student, stage, seed, job.student.section.head_now)
    _check_labelled(job, stage)
    _caution_of_outputs(job, "student", seen)
    _caution_of_enlarged(job)
    _caution_of_impatience(job, stage)
    _check_directory_of_cache(job)
    if teacher is not None and job.method.needs_teacher:
        need = None if asked is None else need_of(asked, seen)
        Planner(
            seen_by_student, teacher, job.recipe.seeds, trained=given, stage=stage, need=need
        ).check()


def _check_one_embedding(job: Job) -> None:
    """Refuse an ensemble where people are told apart by an embedding; without labels it has one.

    Raises:
        RecipeError: several networks answer together, and have an embedding each.
    """
    several = next((each for each in job.teachers if each.members), None)
    if several is not None and job.task.labelled and job.task.measured == EMBEDDING:
        raise RecipeError(
            several.role,
            [
                f"the task '{job.task.name}' measures each network by its embedding, and an "
                f"ensemble of {len(several.members)} has none of its own: only the probabilities "
                "of its members have a mean; give one teacher, or a study with an arm for each"
            ],
        )


def _dry_run(job: Job, stage: Stage, seed: int, head: str | None) -> Mapping[str, Tensor]:
    """Open a stage, which is the check; gives the signals that it was checked on."""
    train, platform, classes = job.data.train(seed), job.data.platform, job.data.classes
    if head is not None or _heads_move(job):
        stage = watching_head(stage)
    for name in dict.fromkeys(name for update in stage.updates for name in update.learners):
        node = stage.node(name)
        if isinstance(node, Role):
            check_learnable(node.module, who=node.title)
    settings = job.settings(seed, compile=False)
    settings.steps_per_epoch(train)
    with opened(stage, train, settings, platform) as objective:
        seen = objective.wiring.seen
        Trainer(objective, train, settings, platform)  # optimisers refuse what they cannot move
        _check_scored_inputs(job, objective, seen)
    for label, signal in stage.measures.items():
        problem = job.task.width_problem(seen[signal].shape[-1], classes)
        if problem:
            raise WiringError(f"stage '{stage.name}'", [f"'{label}' ({signal}) {problem}"])
    return seen


def _check_scored_inputs(job: Job, objective: Objective, seen: Mapping[str, Tensor]) -> None:
    """Show it rows of validation and test, where they have another form than those of training.

    Raises:
        DataError: they cannot be made, or nothing of the stage takes them.
    """
    for name, table in job.data.held_out(tested=job.tested).items():
        batch = replace(table, workers=0).sample(1)
        signals = [signal for signal in job.data.reads().values() if signal in seen]
        forms = [[list(each[signal].shape[1:]) for signal in signals] for each in (batch, seen)]
        if forms[0] == forms[1]:
            continue
        shown, trained = (each[0] if len(each) == 1 else each for each in forms)
        what = job.data.noun
        modules = [node.module for node in objective.wiring.nodes if node.module is not None]
        flags = Flags(modules)
        try:
            for module in modules:
                set_eval(module)
            with torch.inference_mode():
                measured(objective, batch, job.data.platform)
        except Exception as error:
            raise DataError(
                f"{what} of {name} are {shown}, those of training {trained}, and the "
                f"networks do not take them ({first_line(error)}); let transform and "
                "eval_transform give one form"
            ) from error
        finally:
            flags.restore()


def _check_labelled(job: Job, stage: Stage, who: str = "") -> None:
    """Settings of the labelled term, where a stage has none.

    Raises:
        RecipeError: its method learns labels by a loss of its own.
    """
    terms = [term for update in stage.updates for term in update.terms]
    task = job.task
    if not isinstance(task, AdjustedClassification) or any(term.by_task for term in terms):
        return
    asked = " and ".join(task.settings)
    if any(LABEL in term.reads for term in terms):
        said = f"method '{stage.name}' has a loss of labels of its own, which {asked} would not "
        raise RecipeError(f"{who}.{asked}" if who else asked, [f"{said}reach; leave it out"])
    whose = f"{who} has none" if who else "it is that of the control alone"
    job.watcher.warn(f"{asked}: method '{stage.name}' learns without the labelled term; {whose}")


def _caution_of_outputs(job: Job, role: str, seen: Mapping[str, Tensor]) -> None:
    """Warn of a network that learns and gives probabilities; in its own stage it is the student."""
    logits = seen.get(f"student.{LOGITS}")
    caution = None if logits is None else output_caution(role, logits)
    if caution is not None and isinstance(job.task, Classification):
        job.watcher.warn(caution)


def _caution_of_enlarged(job: Job) -> None:
    """Warn of networks that are shown enlarged images, whose sources have the pixels."""
    for role, section in (
        ("student", job.recipe.student),
        *((teacher.role, teacher.section) for teacher in job.teachers),
    ):
        caution = enlarged_caution(role, section, job.data)
        if caution is not None:
            job.watcher.warn(caution)


def _caution_of_impatience(job: Job, stage: Stage) -> None:
    """Warn of a method whose weights go with the whole training, of which patience cuts an end."""
    if job.recipe.patience is not None and stage.follows_training:
        job.watcher.warn(
            f"patience: the method {job.method.name} changes over the whole training (weights of "
            "its terms, or when a moving average steps); where patience ends it early, what comes "
            "at its end never comes"
        )


def _heads_move(job: Job) -> bool:
    """Whether a network of the run takes over another one's classifier."""
    moved = any(each.head is not None for each in ancestors(job.recipe.teacher))
    return moved or job.recipe.student.head != "own"


def _check_directory_of_cache(job: Job) -> None:
    recipe = job.recipe
    if recipe.cache.directory and recipe.each_student_its_data:
        what = "teacher" if each_student_its_own(recipe.teacher) else "transfer set"
        said = f"a directory holds the teacher cache of one {what}, and each student has its own"
        raise RecipeError("cache.directory", [f"{said}; leave it out, or give one {what}"])


def networks_told(job: Job) -> list[str]:
    """What has to be said of networks, a line each: files that are read, starts, frozen parts."""
    seed = job.recipe.seeds[0]
    learners = [
        ("student", job.student),
        *((f"peer {at}", network) for at, network in enumerate(job.peers.networks, start=1)),
    ]
    teachers = [(each.role, each.network) for each in job.teachers if not each.members]
    both = (*teachers, *learners)
    begun = [
        f"{role}: {network.origin.line(network.section.lr_scale)}"
        for role, network in both
        if network.origin is not None
    ]
    found = [(role, net.weights_read(seed)) for role, net in both if net.origin is None]
    read = [f"{role}: {part}" for role, part in found if part is not None and not part.whole]
    centred = [
        f"{role}: its classifier is made of its own embeddings, the centres of the classes"
        for role, network in teachers
        if network.centred
    ]
    learners = [*((role, network) for role, network in teachers if not network.given), *learners]
    frozen = [network.learning(seed, who=role) for role, network in learners]
    return [*read, *begun, *centred, *(line for line in frozen if line is not None)]


@dataclass(frozen=True)
class TermLine:
    """One term on two batches: its mean, its weight, and its share of the gradient.

    The share is ``|w_i g_i| / sum_j |w_j g_j|`` with g the gradient of the mean term at all
    learning parameters: it says how much each term pulls before any training.
    """

    name: str
    value: float
    weight: float
    gradient_share: float


@dataclass(frozen=True)
class Preflight:
    """What `stillhouse check` prints; ``teacher``: what was found of a given one."""

    signals: tuple[tuple[str, str], ...]
    terms: tuple[TermLine, ...]
    steps_per_epoch: int
    teacher: TeacherCheck | None
    teacher_plan: str | None


def preflight(job: Job) -> Preflight:
    """Dry-run the student's stage; the teacher, when it comes trained, is evaluated first."""
    seed, given = job.recipe.seeds[0], False
    teacher = found = plan = None
    if job.teacher is not None:
        facts, teacher = job.teacher, job.teacher.make(seed)
        given = facts.given
        job = replace(job, student=job.student.out_of(teacher))
        if given:
            give_centres(job, facts, teacher)
            give_scales(job, facts, teacher)
            found = check_given(job, facts, teacher)
    job = stand_in(job)
    if teacher is not None and job.method.needs_teacher:
        planner = Planner(job, teacher, job.recipe.seeds, trained=given)
        plan = planner.plan(timed=given).why
    train, stage = job.data.train(seed), job.balanced_stage(job.start(seed), teacher)
    settings, platform = job.settings(seed), job.data.platform
    with opened(stage, train, settings, platform) as objective:
        trainer = Trainer(objective, train, settings, platform)
        signals = tuple((name, shape_text(t)) for name, t in objective.wiring.seen.items())
        batches = list(islice(train.epoch(0), BATCHES))
        lines = [line for update in objective.updates for line in _terms(update, batches, trainer)]
        return Preflight(signals, tuple(lines), trainer.per_epoch, found, plan)


def _terms(update: UpdateObjective, batches: Sequence[Signals], trainer: Trainer) -> list[TermLine]:
    weights = {name: trainer.weights_at(1.0)[name] for name in update.names}
    with torch.no_grad():
        values = [update(batch).values for batch in batches]
    means = torch.stack(values).double().mean(0).tolist()
    norms = gradient_norms(update, batches, list(update.parameters()), trainer.platform)
    weighted = {name: weight * norms[name] for name, weight in weights.items()}
    total = sum(weighted.values()) or 1.0
    return [
        TermLine(name, mean, weights[name], norm / total)
        for (name, norm), mean in zip(weighted.items(), means, strict=True)
    ]
