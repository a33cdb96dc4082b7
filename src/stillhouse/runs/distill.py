"""The main job: a teacher, a control and a student over seeds, and whether it helped."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from stillhouse.bridges import InputAdapter
from stillhouse.engine.balance import balanced, check_balance
from stillhouse.engine.facts import facts_of
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings, opened
from stillhouse.errors import RecipeError, WiringError
from stillhouse.methods import Method, find_method, plain
from stillhouse.models import weights_fingerprint
from stillhouse.recipes.derive import DerivedSection
from stillhouse.recipes.networks import ancestors, each_student_its_own
from stillhouse.recipes.schema import Recipe
from stillhouse.records.code import code_identity
from stillhouse.records.fingerprint import fingerprint
from stillhouse.records.names import slug
from stillhouse.records.run import Serving
from stillhouse.runs.ancestors import Ancestor, Ancestry, reading
from stillhouse.runs.compiling import settle_compile
from stillhouse.runs.deriving import check_student
from stillhouse.runs.feeds import Feeds, data_identity
from stillhouse.runs.heads import check_kept, take_head, watching_head, with_heads
from stillhouse.runs.likeness import Likeness, look_at, with_likeness
from stillhouse.runs.networks import Network, input_of, make_input
from stillhouse.runs.notes import write_notes
from stillhouse.runs.optimising import budget_identity, chosen_optimizer, chosen_schedule
from stillhouse.runs.peers import Peers
from stillhouse.runs.played import Played
from stillhouse.runs.pupils import Pupils
from stillhouse.runs.scoring import (
    accuracy_at_start,
    mention_teacher,
    played,
    played_ancestor,
)
from stillhouse.runs.stage_run import LAST, StageRun, run_stage
from stillhouse.runs.teacher_plan import Planner
from stillhouse.runs.teaching import Teaching, storage_identity
from stillhouse.runs.transfer import Transferred, check_transfer, stand_in
from stillhouse.runs.watching import Quiet, Watcher


@dataclass
class Distillation:
    """A recipe on its data, ready to be run. Made by `prepare` in the same room."""

    recipe: Recipe
    feeds: Feeds
    student: Network
    teacher: Ancestor | None
    shared: Path
    out: Path
    watcher: Watcher = field(default_factory=Quiet)
    served: Serving | None = None
    compiled: bool = False
    likenesses: dict[nn.Module, Likeness | None] = field(default_factory=dict)
    on_test: dict[tuple[Path, str], dict[str, float]] = field(default_factory=dict)
    transferred: dict[int, Transferred] = field(default_factory=dict)
    peers: Peers = field(default_factory=Peers)
    starts: dict[int, float] = field(default_factory=dict)
    own_method: Method | None = None

    @property
    def method(self) -> Method:
        """The method of the recipe."""
        return self.own_method or find_method(self.recipe.method.name)

    @property
    def method_code(self) -> dict[str, Any]:
        """What a fingerprint must know of a method of the user's own; empty for one of ours."""
        return {"code": code_identity(self.own_method.build)} if self.own_method else {}

    def settings(
        self, seed: int, epochs: int | None = None, *, compile: bool | None = None
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
        )

    @property
    def student_input(self) -> InputAdapter | None:
        """The student's own form of the image, made anew each time."""
        return make_input(self.recipe.student, self.feeds)

    def student_stage(self, seed: int, teacher: nn.Module | None) -> Stage:
        """The method's stage on a fresh student, with the teacher's classifier if it is to."""
        student = self.student.make(seed, teacher)
        section, source, head = self.student.section, self.teacher, self.recipe.student.head
        options = with_heads(
            self.recipe.method.settings(), section, source.section if source else None
        )
        kept = []
        if head != "own" and teacher is not None and source is not None:
            path = take_head(student, section, teacher, source.section)
            kept = [path] if head == "shared" else []
        if self.method.needs_peers:
            stage = self.method.build(student, self.peers.make(seed), **options)
            stage = self.peers.headed(stage)
        elif not self.method.needs_teacher:
            stage = self.method.build(student, **options)
        else:
            stage = self.method.build(student, teacher, **options)
            if source is not None:
                stage = reading(stage, "teacher", source.input)
        stage = stage.freeze("student", kept).headed("student", section.head_path)
        return reading(stage, "student", self.student_input).completed(
            facts_of(self.feeds.train(seed))
        )

    def balanced_stage(self, seed: int, teacher: nn.Module | None) -> Stage:
        """The same, with the weights that the recipe wants from gradients."""
        stage, wanted = self.student_stage(seed, teacher), self.recipe.balance
        if wanted is None:
            return stage
        train, settings = self.feeds.train(seed), self.settings(seed, compile=False)
        share, count = wanted.share, wanted.batches
        return balanced(stage, train, settings, self.feeds.platform, share=share, batches=count)

    def control_stage(self, seed: int, teacher: nn.Module | None) -> Stage:
        """The student alone; its teacher matters where it is made out of it."""
        student = self.student.make(seed, teacher)
        stage = plain(student).headed("student", self.student.section.head_path)
        return reading(stage, "student", self.student_input)

    def teacher_stage(self, teacher: nn.Module) -> Stage:
        """The teacher alone, reading its own form of the image."""
        if self.teacher is None:
            return plain(teacher)
        stage = plain(teacher).headed("student", self.teacher.section.head_path)
        return reading(stage, "student", self.teacher.input)

    def check(self) -> None:
        """Wire every stage once, before anything is trained.

        Raises:
            WiringError, ModelError, WeightsError: with all that does not fit.
        """
        seed, teacher = self.recipe.seeds[0], None
        if self.teacher is not None:
            for ancestor, stage in Ancestry(self).untrained(self.teacher):
                self._dry_run(stage, ancestor.seed_for(seed), ancestor.section.head_path)
            teacher = self.teacher.make(seed)
            if self.recipe.transfer is not None:
                check_transfer(self, teacher)
        self.peers.check(self.student.make(seed), seed)
        pupil = self.dry_run_job()
        check_student(self.student, teacher, trained=bool(self.teacher and self.teacher.given))
        stage = self.student_stage(seed, teacher)
        if self.recipe.balance is not None:
            check_balance(stage)
        pupil._dry_run(stage, seed, self.student.section.head_path)
        self._check_directory_of_cache()
        if self.teacher is not None and teacher is not None and self.method.needs_teacher:
            Planner(pupil, teacher, trained=self.teacher.given).check()

    def dry_run_job(self) -> "Distillation":
        """The job as its students see it, before anything was made for them."""
        return self if self.recipe.transfer is None else replace(self, feeds=stand_in(self))

    def _check_directory_of_cache(self) -> None:
        if not self.recipe.cache.directory:
            return
        what = "teacher" if each_student_its_own(self.recipe.teacher) else "transfer set"
        if what == "teacher" or self.recipe.each_student_its_data:
            said = (
                f"a directory holds the teacher cache of one {what}, and each student has its own"
            )
            raise RecipeError("cache.directory", [f"{said}; leave it out, or give one {what}"])

    def _dry_run(self, stage: Stage, seed: int, head: str | None) -> None:
        train, platform = self.feeds.train(seed), self.feeds.platform
        if head is not None or self._heads_move:
            stage = watching_head(stage)
        with opened(stage, train, self.settings(seed), platform) as trainer:  # opening is the check
            classes = len(self.feeds.splits.classes)
            for label, signal in stage.measures.items():
                width = trainer.wiring.seen[signal].shape[1]
                if width != classes:
                    raise WiringError(
                        f"stage '{stage.name}'",
                        [f"'{label}' ({signal}) tells {width} classes apart, the data has "
                         f"{classes}; give a model with {classes} outputs"],
                    )  # fmt: skip

    @property
    def _heads_move(self) -> bool:
        """Whether a network of the run takes over another one's classifier."""
        moved = any(each.head is not None for each in ancestors(self.recipe.teacher))
        return moved or self.recipe.student.head != "own"

    def identity(
        self,
        kind: str,
        settings: Settings,
        network: Network,
        *,
        start: nn.Module | None = None,
        source: nn.Module | None = None,
        **more: Any,
    ) -> str:
        """The fingerprint of a stage: all that decides its weights; ``source``: the teacher."""
        if start is None:
            origin = network.origin(settings.seed, source)
        else:
            origin = {"start": weights_fingerprint(start), **network.code(start)}
        return fingerprint(
            {
                "kind": kind,
                "data": data_identity(self.feeds),
                "network": network.section.model,
                **origin,
                **budget_identity(self.recipe, settings, self.feeds.platform),
                **more,
            }
        )

    def teacher_identity(self, module: nn.Module) -> str:
        """The teacher's weights, and its code where these do not say what they are for."""
        return self.teacher.identity(module) if self.teacher else weights_fingerprint(module)

    def input_settings(self) -> dict[str, Any]:
        """What a fingerprint must know of the teacher's own input; empty when it has none."""
        return self.teacher.input_settings() if self.teacher else {}

    def student_input_settings(self) -> dict[str, Any]:
        """What a fingerprint must know of the student's own input; empty when it has none."""
        section = input_of(self.recipe.student)
        return {"student_input": section.model_dump()} if section else {}

    def run_control(self, seed: int, teacher: nn.Module | None) -> StageRun:
        """The student alone, same budget, seed and start; shared by all methods."""
        settings = self.settings(seed)
        own = self.student_input_settings()
        identity = self.identity("control", settings, self.student, source=teacher, **own)
        stage = self.control_stage(seed, teacher)
        return self.train_alone("control", self.student, settings, identity, stage)

    def train_alone(
        self, role: str, network: Network, settings: Settings, identity: str, stage: Stage
    ) -> StageRun:
        """A stage whose product other runs may use too, beside them under its fingerprint."""
        names = (slug(role), slug(network.section.model))
        return run_stage(
            lambda: stage,
            self.feeds,
            settings,
            self.shared / f"{'-'.join(names)}-seed{settings.seed}-{identity}",
            identity=identity,
            about={"stage": role, "seed": settings.seed},
            observer=self.watcher,
        )

    def student_directory(self, seed: int) -> Path:
        """Where the student of a seed is trained."""
        return self.out / "student" / f"seed{seed}"

    def run_student(
        self, seed: int, teacher: nn.Module | None, teaching: Teaching | None
    ) -> StageRun:
        """The student by the method; its teacher live or cached gives the same bits."""
        settings = self.settings(seed)
        more = {
            "method": self.recipe.method.model_dump(),
            **self.method_code,
            "teacher": None if teacher is None else self.teacher_identity(teacher),
            "views": self.feeds.views or "a new one each epoch",
            **({} if self.recipe.student.head == "own" else {"head": self.recipe.student.head}),
            **self.input_settings(),
            **self.peers.identity(seed),
            **self.student_input_settings(),
            **storage_identity(self),
            **({"balance": self.recipe.balance.model_dump()} if self.recipe.balance else {}),
        }

        def stage() -> Stage:
            made = with_likeness(look_at(self, teacher), self.balanced_stage(seed, teacher))
            write_notes(self, self.student_directory(seed), made)
            return teaching.teach(made) if teaching else made

        run = run_stage(
            stage,
            self.feeds,
            settings,
            self.student_directory(seed),
            identity=self.identity("student", settings, self.student, source=teacher, **more),
            about={"stage": "student", "seed": seed},
            observer=self.watcher,
            views=teaching.views if teaching else self.feeds.views,
        )
        if self.recipe.student.head == "shared" and teacher is not None and self.teacher:
            student = self.student.make(seed, teacher)
            student.load_state_dict(run.weights(LAST)["student"])
            check_kept(student, self.student.section, teacher, self.teacher.section)
        return run

    def all_models(self) -> list[Played]:
        """Train everything, then read the test set once."""
        ancestry, pupils = Ancestry(self), Pupils(self)
        seeds = self.recipe.seeds
        if self.teacher is not None and not each_student_its_own(self.recipe.teacher):
            self.trained_teacher(ancestry, seeds[0])
        self.compiled = settle_compile(self.dry_run_job())
        runs: list[tuple[str, int, StageRun, nn.Module | None]] = []
        for seed in seeds:
            teacher = self.trained_teacher(ancestry, seed)
            pupil, lessons = pupils.of(teacher, seed)
            if self.recipe.control:
                control = pupil.noted("control", pupil.run_control(seed, teacher))
                runs.append(("control", seed, control, teacher))
            student = pupil.run_student(seed, teacher, lessons.by(teacher, seed))
            runs.append(("student", seed, pupil.noted("student", student), teacher))
        self.served = pupils.served()
        self.watcher.say("reading the test set, once")
        if isinstance(self.recipe.student, DerivedSection):
            self.starts[seeds[0]] = accuracy_at_start(self, seeds[0], runs[0][3])
        before = [played_ancestor(self, trained) for trained in ancestry.all_trained()]
        return before + [played(self, *run) for run in runs]

    def trained_teacher(self, ancestry: Ancestry, seed: int) -> nn.Module | None:
        """The teacher of a student; told about when it is new."""
        if self.teacher is None:
            return None
        known = len(ancestry.known)
        trained = ancestry.trained(self.teacher, seed)
        if len(ancestry.known) > known:
            mention_teacher(self, trained)
            check_student(self.student, trained.module, trained=True)
        return trained.module

    def noted(self, role: str, run: StageRun) -> StageRun:
        """The run, told about if it was found finished."""
        if run.reused:
            self.watcher.say(f"{role}: finished before, taken from {run.directory}")
        return run
