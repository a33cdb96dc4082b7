"""What a run hands over: the student of the first seed, by each inference that was measured.

The student itself is copied from its stage. A further product of the stage, such as the student
with the teacher's head, is a file that the student's own class loads, where one can be; else a
program that torch runs alone.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.deploy.program import write_program
from stillhouse.engine.layout import Homes
from stillhouse.engine.seeding import seeded
from stillhouse.engine.wiring import wire
from stillhouse.models.calling import run_on
from stillhouse.models.given import copied, set_eval
from stillhouse.models.outputs import LOGITS, named_outputs
from stillhouse.records.extra_state import without_tensors
from stillhouse.records.files import copy_file
from stillhouse.records.fingerprint import file_hash
from stillhouse.records.names import slug
from stillhouse.records.products import PRODUCTS, Product, ProductList
from stillhouse.records.tensors import save_tensors
from stillhouse.runs.job.derived import DerivedNetwork
from stillhouse.runs.job.job import Job
from stillhouse.runs.judging.integers import integer_files
from stillhouse.runs.training.stage_run import BEST, LAST, StageRun, product_file
from stillhouse.students.quantised import is_quantised

WEIGHTS, PROGRAM = ".safetensors", ".pt2"


@dataclass(frozen=True)
class ProductWeights:
    """Which weights of which student a product holds."""

    seed: int
    which: str
    number: int

    @classmethod
    def of(cls, run: StageRun, which: str) -> "ProductWeights":
        """The last or the best epoch of a training."""
        number = run.epochs if which == LAST else run.best_epoch
        return cls(run.training.settings.seed, which, number)

    def __str__(self) -> str:
        return f"seed {self.seed}, {self.which} epoch ({self.number})"


def write_products(out: Path, run: StageRun) -> None:
    """Write the products of a student beside the run, and products.json that lists them.

    A product that torch.export cannot write is left out, with a warning that says why.

    Args:
        out: the directory of the run.
        run: the training of the student of the first seed.
    """
    entries: list[Product] = []
    for which in (LAST, BEST):
        products = Products(run.training.job, out, ProductWeights.of(run, which))
        with _on_cpu(run, which) as image:
            entries += products.of(run, image)
    ProductList(products=tuple(entries)).write(out / PRODUCTS)


@contextmanager
def _on_cpu(run: StageRun, which: str) -> Iterator[dict[str, Tensor]]:
    """The stage of a student on the CPU with the weights of an epoch; gives a few rows to read.

    It is wired where it was never opened, and not opened: opening waits for other processes, and
    one process writes products.
    """
    stage, train = run.training.stage, run.training.job.data.train(run.training.settings.seed)
    homes = Homes([node.module for node in stage.nodes if node.module is not None])
    batch = {name: value.cpu() for name, value in train.sample().items()}
    weights = run.weights(which)
    try:
        homes.place(torch.device("cpu"), channels_last=False)
        if any(stage.node(name).module is None and state for name, state in weights.items()):
            with seeded(train.order_seed, "products"):
                wire(stage, batch)
        for name, state in weights.items():
            module = stage.node(name).module
            if module is not None:
                module.load_state_dict(state)
        yield run.training.job.data.inputs(batch)
    finally:
        homes.restore()


@dataclass(frozen=True)
class Products:
    """Writes the products of a student with the weights of one epoch."""

    job: Job
    out: Path
    epoch: ProductWeights

    def of(self, run: StageRun, given: Mapping[str, Tensor]) -> list[Product]:
        """All that one student gives, as entries of products.json.

        Args:
            run: its training, its stage with the weights of the epoch.
            given: a few rows, as it reads them by name.
        """
        own, stage = self.job.student_input, run.training.stage
        student = copied(stage.role(run.keeps).module, who="student")
        set_eval(student)
        shown = given if own is None else {name: own(x) for name, x in given.items()}
        entries = [self._weights(run, student)]
        if isinstance(self.job.student, DerivedNetwork):  # no class alone can load its weights
            what = f"the student of {self.epoch}, {self.job.student.section.model}"
            entries += self._program(student, given, self._file("student", PROGRAM), what)
        elif is_quantised(student):
            stem, (image,) = self._file("student-int8", ""), shown.values()
            files = integer_files(student, image, stem, str(self.epoch), self.job.watcher.warn)
            entries += [_entry(path, what + self._reading()) for path, what in files]
        for label, make in stage.products.items():
            entries += self._further(label, make, student, shown)
        return entries

    def _file(self, stem: str, end: str) -> Path:
        return product_file(self.out, stem, self.epoch.which).with_suffix(end)

    def _weights(self, run: StageRun, student: nn.Module) -> Product:
        target = self._file("student", WEIGHTS)
        copy_file(product_file(run.directory, run.keeps, self.epoch.which), target)
        return _entry(
            target, f"weights of {self.epoch}; {_loading(target, student)}{self._reading()}"
        )

    def _reading(self) -> str:
        """What the student's images are, where they are not those of the data; else nothing."""
        own = self.job.student_input
        if own is None:
            return ""
        image = self.job.data.train(0).sample(1)["batch.image"].cpu()
        shape = list(own(image).shape[1:])
        mean, std = (
            ", ".join(f"{n:.4f}" for n in x.flatten().tolist()) for x in (own.to_mean, own.to_std)
        )
        return f"; it reads images {shape} in [0, 1], minus mean ({mean}), divided by std ({std})"

    def _further(
        self,
        label: str,
        make: Callable[[], nn.Module],
        student: nn.Module,
        given: Mapping[str, Tensor],
    ) -> list[Product]:
        """A further inference of the stage: in the student's own class, or as a program."""
        module = make()
        set_eval(module)
        weights, program = (
            self._file(f"student-{slug(label, also='')}", end) for end in (WEIGHTS, PROGRAM)
        )
        weights.unlink(missing_ok=True)
        program.unlink(missing_ok=True)
        if is_one_of(copied(student, who="student"), module, given):
            about = {"measure": label, "epoch": str(self.epoch)}
            save_tensors(weights, module.state_dict(), about)
            said = f"'{label}' of {self.epoch}, in the student's own class; "
            return [_entry(weights, said + _loading(weights, module) + self._reading())]
        return self._program(module, given, program, f"'{label}' of {self.epoch}")

    def _program(
        self, module: nn.Module, given: Mapping[str, Tensor], path: Path, what: str
    ) -> list[Product]:
        """A file that torch runs alone; nothing where torch.export cannot write it."""
        if len(given) > 1:
            names = " and ".join(given)
            said = f"{path.name} is left out: programs of one input are written, this reads {names}"
            self.job.watcher.warn(said)
            return []
        (image,) = given.values()
        if not write_program(module, image, path, self.job.watcher.warn):
            return []
        shape = ", ".join(map(str, image.shape[1:]))
        call = f'torch.export.load("{path.name}").module()(images)'
        said = f"{what}, needs torch alone; {call} with images [B, {shape}]"
        return [_entry(path, f"{said} prepared as for the student{self._reading()}")]


def is_one_of(bare: nn.Module, module: nn.Module, given: Mapping[str, Tensor]) -> bool:
    """Whether a fresh student with the module's state dict is the module: in names, shapes, logits.

    Equal names are not enough: a head may compute something else from the same weight and bias.

    >>> image = {"image": torch.ones(1, 2)}
    >>> is_one_of(nn.Linear(2, 3), nn.Linear(2, 3), image)
    True
    >>> is_one_of(nn.Linear(2, 3), nn.Linear(2, 3, bias=False), image)
    False
    """
    mine, theirs = module.state_dict(), bare.state_dict()
    if _shapes(mine) != _shapes(theirs):
        return False
    bare.load_state_dict(mine)
    set_eval(bare)
    with torch.no_grad():
        own, other = (named_outputs(run_on(each, given))[LOGITS] for each in (bare, module))
    return own.shape == other.shape and torch.allclose(own, other, rtol=1e-4, atol=1e-5)


def _shapes(state: Mapping[str, Any]) -> dict[str, Any]:
    """By name; an extra state of a layer has none."""
    return {name: getattr(value, "shape", None) for name, value in state.items()}


def _loading(path: Path, module: nn.Module) -> str:
    loose = ", strict=False" if without_tensors(module.state_dict()) else ""
    return f'model.load_state_dict(safetensors.torch.load_file("{path.name}"){loose})'


def _entry(path: Path, what: str) -> Product:
    return Product(
        name=path.stem,
        file=path.name,
        bytes=path.stat().st_size,
        sha256=file_hash(path),
        what=what,
    )
