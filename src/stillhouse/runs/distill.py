"""The main job: a teacher, a control and a student over seeds, and whether it helped."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from stillhouse.bridges import InputAdapter
from stillhouse.data.batches import Batches
from stillhouse.engine.fit import score
from stillhouse.engine.nodes import Bridge
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings, Weights, opened
from stillhouse.errors import WiringError
from stillhouse.methods import Method, find_method, plain
from stillhouse.models import weights_fingerprint
from stillhouse.recipes.schema import Recipe
from stillhouse.runs.compiling import settle_compile
from stillhouse.runs.feeds import Feeds, data_identity
from stillhouse.runs.fingerprint import fingerprint
from stillhouse.runs.likeness import Likeness, gauged, gauges_of, look_at
from stillhouse.runs.networks import Network
from stillhouse.runs.optimising import budget_identity, chosen_optimizer, chosen_schedule
from stillhouse.runs.played import Played
from stillhouse.runs.stage_run import StageRun, run_stage
from stillhouse.runs.teacher_plan import Planner
from stillhouse.runs.teaching import Served, Teaching, storage_identity
from stillhouse.runs.watching import Quiet, Watcher

TEACHER_SEED = 0
CHANCE_FACTOR = 2.0
"""A teacher under so many times the accuracy of guessing deserves a warning."""


@dataclass
class Distillation:
    """A recipe on its data, ready to be run. Made by `prepare` in the same room."""

    recipe: Recipe
    feeds: Feeds
    student: Network
    teacher: Network | None
    shared: Path
    out: Path
    watcher: Watcher = field(default_factory=Quiet)
    teacher_input: InputAdapter | None = None
    served: Served | None = None
    compiled: bool = False
    likeness: Likeness | None = None

    @property
    def method(self) -> Method:
        """The method of the recipe."""
        return find_method(self.recipe.method.name)

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

    def student_stage(self, seed: int, teacher: nn.Module | None) -> Stage:
        """The method's stage on a fresh student."""
        options: dict[str, Any] = self.recipe.method.settings()
        student = self.student.make(seed)
        if not self.method.needs_teacher:
            return self.method.build(student, **options)
        return self._with_input(self.method.build(student, teacher, **options), "teacher")

    def teacher_stage(self, teacher: nn.Module) -> Stage:
        """The teacher alone, reading its own form of the image."""
        alone = replace(plain(teacher), name="teacher alone")  # messages say whose stage it is
        return self._with_input(alone, "student")

    def _with_input(self, stage: Stage, role: str) -> Stage:
        if self.teacher_input is None:
            return stage
        return stage.through(role, Bridge("teacher_image", self.teacher_input, "batch.image"))

    def check(self) -> None:
        """Wire every stage once, before anything is trained.

        Raises:
            WiringError, ModelError, WeightsError: with all that does not fit.
        """
        teacher = None
        if self.teacher is not None:
            teacher = self.teacher.make(TEACHER_SEED)
            self._rehearse(self.teacher_stage(teacher), TEACHER_SEED)
        self._rehearse(self.student_stage(self.recipe.seeds[0], teacher), self.recipe.seeds[0])
        if teacher is not None and self.method.needs_teacher:
            Planner(self, teacher, trained=self.teacher is not None and self.teacher.given).check()

    def _rehearse(self, stage: Stage, seed: int) -> None:
        train, platform = self.feeds.train(seed), self.feeds.platform
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

    def identity(self, kind: str, settings: Settings, network: Network, **more: Any) -> str:
        """The fingerprint of a stage: everything that decides its weights."""
        start = network.make(settings.seed)
        return fingerprint(
            {
                "kind": kind,
                "data": data_identity(self.feeds),
                "network": network.section.model,
                "start": weights_fingerprint(start),
                **network.code(start),
                **budget_identity(self.recipe, settings, self.feeds.platform),
                **more,
            }
        )

    def run_teacher(self) -> tuple[nn.Module | None, StageRun | None]:
        """The teacher, given or trained (or found trained)."""
        if self.teacher is None:
            return None, None
        module = self.teacher.make(TEACHER_SEED)
        if self.teacher.given:
            return module, None
        settings = self.settings(
            TEACHER_SEED,
            self.teacher.section.epochs,
            compile=self.recipe.compile is True,  # 'auto' asks what is best for the student
        )
        identity = self.identity("teacher", settings, self.teacher, **self.input_settings())
        run = self._plain_run(
            "teacher", self.teacher, settings, identity, self.teacher_stage(module)
        )
        module.load_state_dict(run.weights("last")["student"])
        return module, run

    def teacher_identity(self, module: nn.Module) -> str:
        """The teacher's weights, and its code where these do not say what they are for."""
        code = self.teacher.code(module) if self.teacher else {}
        return "-".join([weights_fingerprint(module), *code.values()])

    def input_settings(self) -> dict[str, Any]:
        """What a fingerprint must know of the teacher's own input; empty when it has none."""
        section = self.recipe.teacher and self.recipe.teacher.input
        return {"teacher_input": section.model_dump()} if section else {}

    def run_control(self, seed: int) -> StageRun:
        """The student alone, same budget and seed; shared by all methods."""
        settings = self.settings(seed)
        identity = self.identity("control", settings, self.student)
        stage = plain(self.student.make(seed))
        return self._plain_run("control", self.student, settings, identity, stage)

    def _plain_run(
        self, role: str, network: Network, settings: Settings, identity: str, stage: Stage
    ) -> StageRun:
        name = "".join(c if c.isalnum() or c in "-_." else "-" for c in network.section.model)
        return run_stage(
            lambda: stage,
            self.feeds,
            settings,
            self.shared / f"{role}-{name}-seed{settings.seed}-{identity}",
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
        """The student by the method; its teacher live or recorded gives the same bits."""
        settings = self.settings(seed)
        more = {
            "method": self.recipe.method.model_dump(),
            "teacher": None if teacher is None else self.teacher_identity(teacher),
            "views": self.feeds.views or "a new one each epoch",
            **self.input_settings(),
            **storage_identity(self),
        }

        def stage() -> Stage:
            made = gauged(self.likeness, self.student_stage(seed, teacher))
            return teaching.teach(made) if teaching else made

        return run_stage(
            stage,
            self.feeds,
            settings,
            self.student_directory(seed),
            identity=self.identity("student", settings, self.student, **more),
            about={"stage": "student", "seed": seed},
            observer=self.watcher,
            views=teaching.views if teaching else self.feeds.views,
        )

    def all_models(self) -> list[Played]:
        """Train everything, then read the test set once."""
        teacher, teacher_run = self.run_teacher()
        self._mention_teacher(teacher, teacher_run)
        self.compiled = settle_compile(self)
        self.likeness = look_at(self, teacher)
        teaching = None
        if teacher is not None and self.method.needs_teacher:
            teaching = Teaching(self, teacher)
            self.served = teaching.begin()
        runs: list[tuple[str, int, StageRun]] = []
        for seed in self.recipe.seeds:
            if self.recipe.control:
                runs.append(("control", seed, self._noted("control", self.run_control(seed))))
            runs.append(
                ("student", seed, self._noted("student", self.run_student(seed, teacher, teaching)))
            )
        self.watcher.say("reading the test set, once")
        played = [] if teacher is None else [self._played_teacher(teacher, teacher_run)]
        return played + [self._played(role, seed, run, teacher) for role, seed, run in runs]

    def _noted(self, role: str, run: StageRun) -> StageRun:
        if run.reused:
            self.watcher.say(f"{role}: finished before, taken from {run.directory}")
        return run

    def _mention_teacher(self, teacher: nn.Module | None, run: StageRun | None) -> None:
        if teacher is None:
            return
        if run is not None:
            self._noted("teacher", run)
        accuracy = self.scores(self.teacher_stage(teacher), None, self.feeds.validation)
        if not accuracy:
            return
        share, classes = accuracy["student"], len(self.feeds.splits.classes)
        self.watcher.say(f"teacher: validation accuracy {100 * share:.2f} %")
        if share * classes < CHANCE_FACTOR:
            self.watcher.warn(
                f"the teacher is hardly better than guessing among {classes} classes: its class "
                "order, its normalisation or its training may be wrong"
            )

    def scores(
        self, stage: Stage, weights: Weights | None, table: Batches | None
    ) -> dict[str, float]:
        """Accuracy of each measure of a stage on a table; empty without a table."""
        if table is None:
            return {}
        settings = self.settings(self.recipe.seeds[0])
        train = self.feeds.train(settings.seed)
        if weights is None:
            weights = {"student": stage.role("student").module.state_dict()}
        found = score(stage, weights, train, table, settings, self.feeds.platform)
        return {label: measure["accuracy"] for label, measure in found.items()}

    def _played_teacher(self, teacher: nn.Module, run: StageRun | None) -> Played:
        if run is not None:
            return self._played("teacher", TEACHER_SEED, run, None, self.teacher_stage(teacher))
        test = self.scores(self.teacher_stage(teacher), None, self.feeds.test)
        validation = self.scores(self.teacher_stage(teacher), None, self.feeds.validation).get(
            "student"
        )
        both = {"last": test["student"], "best": test["student"]}
        return Played(
            "teacher", TEACHER_SEED, None, {"student": both}, dict.fromkeys(both, validation)
        )

    def _played(
        self,
        role: str,
        seed: int,
        run: StageRun,
        teacher: nn.Module | None,
        stage: Stage | None = None,
    ) -> Played:
        test: dict[str, dict[str, float]] = {}
        for which in ("last", "best"):
            if stage is None and role == "control":
                made = plain(self.student.make(seed))
            else:
                made = stage or self.student_stage(seed, teacher)
            for label, share in self.scores(made, run.weights(which), self.feeds.test).items():
                test.setdefault(label, {})[which] = share
        validation = {which: run.validation(which) for which in ("last", "best")}
        return Played(role, seed, run, test, validation, gauges_of(self, role, seed, run))
