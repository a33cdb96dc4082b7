"""The facts of a job: a recipe on its data, how its stages are composed, and what identifies them.

Nothing here changes while a run goes on. What a run learns of itself (trained teachers, transfer
sets, scores) is in what it hands from step to step.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from stillhouse.bridges import InputAdapter
from stillhouse.engine.balance import balanced
from stillhouse.engine.facts import facts_of
from stillhouse.engine.graphs import Compile
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings
from stillhouse.methods import Method, plain
from stillhouse.methods.unlabelled import check_fits, check_hears_all
from stillhouse.models import weights_fingerprint
from stillhouse.recipes.choices import OwnChoice
from stillhouse.recipes.schema import Recipe
from stillhouse.records.code import code_identity
from stillhouse.records.environment import torch_version
from stillhouse.records.fingerprint import fingerprint
from stillhouse.runs.job.averaging import averaged
from stillhouse.runs.job.data import JobData
from stillhouse.runs.job.heads import take_head, with_heads
from stillhouse.runs.job.inputs import fed, input_of, make_input, reading
from stillhouse.runs.job.method import chosen_optimizer, chosen_schedule
from stillhouse.runs.job.networks import Network
from stillhouse.runs.job.peers import Peers
from stillhouse.runs.job.probe import Probe
from stillhouse.runs.job.teacher import Teacher
from stillhouse.runs.job.text_methods import check_rows_fit
from stillhouse.runs.job.watcher import SilentWatcher, Watcher
from stillhouse.tasks import Task
from stillhouse.tracking import Scope


@dataclass(frozen=True)
class Start:
    """The networks of a student before training: its own and its peers', all of one seed."""

    seed: int
    student: nn.Module
    peers: tuple[nn.Module, ...] = ()


@dataclass(frozen=True)
class Job:
    """A recipe on its data. Made by `stillhouse.runs.run.prepare`.

    Args:
        recipe: with what 'auto' means written out.
        data: its tables.
        student: how the student is made.
        teacher: of the student, and whom that comes from; None without one.
        method: of the student.
        shared: where teachers, controls and caches are kept for other runs.
        out: the directory of the run.
        watcher: hears of progress.
        peers: the networks that learn beside the student.
        compiled: what ``compile: auto`` means for student and control.
        warned: what was warned of before anything was trained, such as files that are left out.
        probe: a labelled set on which embeddings are probed in the end.
        tested: whether it ends on the test set; a search, which chooses, never looks at it.
        tracked: the trackers that hear of its curves, in the process that writes; or none.
    """

    recipe: Recipe
    data: JobData
    student: Network
    teacher: Teacher | None
    method: Method
    shared: Path
    out: Path
    watcher: Watcher = field(default_factory=SilentWatcher)
    peers: Peers = field(default_factory=Peers)
    compiled: Compile = False
    warned: tuple[str, ...] = ()
    tested: bool = True
    probe: Probe | None = None
    tracked: Scope | None = None

    @property
    def task(self) -> Task:
        """What the labels of its data mean."""
        return self.data.task

    @property
    def teachers(self) -> list[Teacher]:
        """The student's teacher and all that it comes from, itself first; empty without one."""
        return [] if self.teacher is None else self.teacher.family

    @property
    def groups(self) -> list[tuple[int, ...]]:
        """Seeds of the students that share teacher and data: all of them, or each its own."""
        seeds = tuple(self.recipe.seeds)
        return [(seed,) for seed in seeds] if self.recipe.each_student_its_data else [seeds]

    def settings(
        self, seed: int, epochs: int | None = None, *, compile: Compile | None = None
    ) -> Settings:
        """The same budget and rules for the student and its control."""
        recipe = self.recipe
        chosen = self.compiled if recipe.compile == "auto" else recipe.compile
        return Settings(
            epochs=epochs or recipe.epochs,
            seed=seed,
            optimizer=chosen_optimizer(recipe),
            schedule=chosen_schedule(recipe),
            accumulate=recipe.accumulate,
            clip=recipe.clip,
            compile=chosen if compile is None else compile,
            checkpoint_seconds=recipe.checkpoint_seconds,
            patience=recipe.patience,
        )

    def start(self, seed: int) -> Start:
        """Fresh networks for the student of a seed and its peers."""
        return Start(seed, self.student.make(seed), tuple(self.peers.make(seed)))

    @property
    def student_input(self) -> InputAdapter | None:
        """The student's own form of the image, made anew each time."""
        return make_input(self.recipe.student, self.data)

    def control_stage(self, student: nn.Module) -> Stage:
        """The student alone."""
        section = self.student.section
        stage = fed(plain(student), self.data).freeze("student", section.frozen)
        stage = self.student.slowed(stage, "student", student)
        stage = stage.headed("student", section.head_now)
        stage = averaged(stage, self.recipe.ema).with_task(self.task)
        return reading(stage, "student", self.student_input)

    def scored_stage(self, student: nn.Module) -> Stage:
        """A student that learns nothing (any more), to be scored."""
        stage = replace(plain(student), name="student alone", updates=(), only_scored=True)
        stage = fed(stage, self.data)
        stage = stage.headed("student", self.student.section.head_path).with_task(self.task)
        return reading(stage, "student", self.student_input)

    def student_stage(self, start: Start, teacher: nn.Module | None) -> Stage:
        """The method's stage on a student as it starts, with the teacher's classifier if it is to.

        That the student takes over a classifier changes ``start``.
        """
        section, source, head = self.student.section, self.teacher, self.recipe.student.head
        student, kept = start.student, list[str]()
        options = with_heads(
            self.recipe.method.settings(), section, source.section if source else None
        )
        if head != "own" and teacher is not None and source is not None:
            path = take_head(student, section, teacher, source.section)
            kept = [path] if head == "shared" else []
        if self.method.needs_peers:
            stage = self.method.stage(student, list(start.peers), **options)
            stage = self.peers.headed(stage, start.peers)
        elif not self.method.needs_teacher:
            stage = self.method.stage(student, **options)
        else:
            stage = fed(self.method.stage(student, teacher, **options), self.data)
            if source is not None:
                stage = reading(stage, "teacher", source.input)
        stage = (
            fed(stage, self.data)
            .freeze("student", [*kept, *section.frozen])
            .headed("student", section.head_now)
        )
        stage = self.student.slowed(stage, "student", student)
        stage = reading(stage, "student", self.student_input)
        stage = stage.completed(facts_of(self.data.train(start.seed)))
        check_rows_fit(stage, self.method.name, self.data)
        if self.task.headless:
            check_fits(stage, self.method.name, self.task)
            check_hears_all(stage, self.method.name)
        return averaged(stage, self.recipe.ema).with_task(self.task)

    def balanced_stage(self, start: Start, teacher: nn.Module | None) -> Stage:
        """The same, with the weights that the recipe wants from gradients."""
        stage, wanted = self.student_stage(start, teacher), self.recipe.balance
        if wanted is None:
            return stage
        train, settings = self.data.train(start.seed), self.settings(start.seed, compile=False)
        share, count = wanted.share, wanted.batches
        return balanced(stage, train, settings, self.data.platform, share=share, batches=count)

    def identity(
        self,
        kind: str,
        settings: Settings,
        network: Network,
        module: nn.Module | None = None,
        **more: Any,
    ) -> str:
        """The fingerprint of a training: all that decides its weights.

        Args:
            kind: of training.
            settings: its budget and rules.
            network: who learns.
            module: the network as it starts, where it is there already.
            more: what else decides.
        """
        return fingerprint(
            {
                "kind": kind,
                "data": self.data.identity(),
                "network": network.section.model,
                **network.identity(settings.seed, module),
                **self._budget_identity(settings),
                **more,
            }
        )

    def _budget_identity(self, settings: Settings) -> dict[str, Any]:
        until = {"epoch": settings.until_epoch, "metric": settings.until_metric}
        platform = self.data.platform
        return {
            **({} if set(until.values()) == {None} else {"until": until}),
            **({} if settings.patience is None else {"patience": settings.patience}),
            "seed": settings.seed,
            "epochs": settings.epochs,
            "optimizer": self.recipe.optimizer.model_dump(),
            "schedule": self.recipe.schedule.model_dump(),
            "accumulate": settings.accumulate,
            "clip": settings.clip,
            "compile": settings.compile,
            "precision": platform.precision,
            "device": platform.device.type,
            "processes": platform.world,
            "torch": torch_version(),
        }

    @property
    def average_settings(self) -> dict[str, Any]:
        """What a fingerprint must know of the moving average of a student; empty without one."""
        section = self.recipe.ema
        return {} if section is None else {"ema": section.model_dump()}

    @property
    def method_code(self) -> dict[str, Any]:
        """What a fingerprint must know of a method of the user's own; empty for one of ours."""
        own = isinstance(self.recipe.method, OwnChoice)
        return {"code": code_identity(self.method.build)} if own else {}

    def teacher_identity(self, module: nn.Module) -> str:
        """The teacher's weights, and its code where these do not say what they are for."""
        return self.teacher.identity(module) if self.teacher else weights_fingerprint(module)

    def teacher_input_settings(self) -> dict[str, Any]:
        """What a fingerprint must know of the teacher's own input; empty when it has none."""
        return self.teacher.input_settings() if self.teacher else {}

    def student_input_settings(self) -> dict[str, Any]:
        """What a fingerprint must know of the student's own input; empty when it has none."""
        section = input_of(self.recipe.student)
        return {"student_input": section.identity} if section else {}
