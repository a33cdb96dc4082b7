"""What a run hands over: the student of the first seed, by each inference that was measured.

The student itself is copied from its stage. A further product of the stage, such as the student
with the teacher's head, is a file that the student's own class loads, where one can be; else a
program that torch runs alone.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.layout import Homes
from stillhouse.engine.seeding import seeded
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Weights
from stillhouse.engine.wiring import wire
from stillhouse.models import load_weights
from stillhouse.records.files import replacing, save_tensors
from stillhouse.records.fingerprint import file_hash
from stillhouse.records.names import slug
from stillhouse.records.run import PRODUCTS, Product, ProductList
from stillhouse.runs.deriving import DerivedNetwork
from stillhouse.runs.distill import Distillation
from stillhouse.runs.integers import integer_files, trained_student
from stillhouse.runs.played import Played, student_of
from stillhouse.runs.program import ExportError, export
from stillhouse.runs.stage_run import BEST, LAST, StageRun, product_file
from stillhouse.students.quantised import is_quantised

WEIGHTS, PROGRAM = ".safetensors", ".pt2"


@dataclass(frozen=True)
class ProductWeights:
    """Which weights of which student a product holds."""

    seed: int
    which: str
    number: int

    @classmethod
    def of(cls, played: Played, run: StageRun, which: str) -> "ProductWeights":
        """The last or the best epoch of a run."""
        return cls(played.seed, which, run.epochs if which == LAST else run.best_epoch)

    def __str__(self) -> str:
        return f"seed {self.seed}, {self.which} epoch ({self.number})"


def write_products(job: Distillation, played: Iterable[Played]) -> None:
    """Write the products of the first seed beside the run, and products.json that lists them.

    A product that torch.export cannot write is left out, with a warning that says why.
    """
    first = student_of(played)
    entries: list[Product] = []
    for which in (LAST, BEST):
        if first.run is None:
            continue
        epoch = ProductWeights.of(first, first.run, which)
        entries.append(_student(job, first.run, epoch))
        if isinstance(job.student, DerivedNetwork):
            entries += _derived(job, first, epoch)
        else:
            entries += _integers(job, first.run, epoch)
        stage = job.student_stage(first.seed, first.teacher)
        if stage.products:
            with trained(stage, first.run.weights(which), job.feeds.train(first.seed)) as image:
                own = job.student_input
                bare = job.student.make(epoch.seed, first.teacher)
                entries += _others(job, stage, bare, own(image) if own else image, epoch)
    ProductList(products=tuple(entries)).write(job.out / PRODUCTS)


@contextmanager
def trained(stage: Stage, weights: Weights, train: Batches) -> Iterator[Tensor]:
    """Put trained weights into a fresh stage, on the CPU; gives a few images for it.

    It is wired but not opened: opening waits for other processes, and one process writes products.
    """
    homes = Homes([node.module for node in stage.nodes if node.module is not None])
    batch = {name: value.cpu() for name, value in train.sample().items()}
    try:
        homes.place(torch.device("cpu"), channels_last=False)
        with seeded(train.order_seed, "products"):
            wire(stage, batch)
        for name, state in weights.items():
            module = stage.node(name).module
            if module is not None:
                module.load_state_dict(state)
        yield batch["batch.image"]
    finally:
        homes.restore()


def _student(job: Distillation, run: StageRun, epoch: ProductWeights) -> Product:
    target = product_file(job.out, "student", epoch.which)
    shutil.copyfile(product_file(run.directory, run.keeps, epoch.which), target)
    return _entry(target, f"weights of {epoch}; {_loading(target)}{_reading(job)}")


def _reading(job: Distillation) -> str:
    """What the student's images are, where they are not those of the data; else nothing."""
    own = job.student_input
    if own is None:
        return ""
    image = job.feeds.train(0).sample(1)["batch.image"].cpu()
    shape = list(own(image).shape[1:])
    mean, std = (
        ", ".join(f"{n:.4f}" for n in x.flatten().tolist()) for x in (own.to_mean, own.to_std)
    )
    return f"; it reads images {shape} in [0, 1], minus mean ({mean}), divided by std ({std})"


def _derived(job: Distillation, first: Played, epoch: ProductWeights) -> Iterator[Product]:
    """A student that no class alone can load the weights of, as a program."""
    module = job.student.make(epoch.seed, first.teacher)
    stem = product_file(job.out, "student", epoch.which).with_suffix("")
    load_weights(module, stem.with_suffix(WEIGHTS))
    image = job.feeds.train(epoch.seed).sample()["batch.image"].cpu()
    made = f"the student of {epoch}, {job.student.section.model}"
    yield from _program(job, module.cpu().eval(), stem.with_suffix(PROGRAM), image, made)


def _integers(job: Distillation, run: StageRun, epoch: ProductWeights) -> Iterator[Product]:
    """Files of the int8 form of a student that rounds; none for others."""
    trained = trained_student(job, run, epoch.seed, epoch.which)
    if not is_quantised(trained):
        return
    stem = product_file(job.out, "student-int8", epoch.which).with_suffix("")
    image, own = job.feeds.train(epoch.seed).sample()["batch.image"].cpu(), job.student_input
    for path, what in integer_files(job, trained, own(image) if own else image, stem, str(epoch)):
        yield _entry(path, what + _reading(job))


def _others(
    job: Distillation, stage: Stage, bare: nn.Module, image: Tensor, epoch: ProductWeights
) -> Iterator[Product]:
    for label, make in stage.products.items():
        module = make().eval()
        stem = product_file(job.out, f"student-{slug(label, also='')}", epoch.which).with_suffix("")
        weights, program = stem.with_suffix(WEIGHTS), stem.with_suffix(PROGRAM)
        weights.unlink(missing_ok=True)
        program.unlink(missing_ok=True)
        if is_one_of(bare, module, image):
            save_tensors(weights, module.state_dict(), {"measure": label, "epoch": str(epoch)})
            said = f"'{label}' of {epoch}, in the student's own class; {_loading(weights)}"
            yield _entry(weights, said + _reading(job))
            continue
        yield from _program(job, module, program, image, f"'{label}' of {epoch}")


def _program(
    job: Distillation, module: nn.Module, program: Path, image: Tensor, what: str
) -> Iterator[Product]:
    """A file that torch runs alone; nothing, with a warning, where torch.export cannot write it."""
    program.unlink(missing_ok=True)
    try:
        found = export(module, image)
    except ExportError as error:
        job.watcher.warn(f"{program.name} is left out: torch.export {error}")
        return
    with replacing(program) as fresh:
        fresh.write_bytes(found)
    shape = ", ".join(map(str, image.shape[1:]))
    call = f'torch.export.load("{program.name}").module()(images)'
    said = f"{what}, needs torch alone; {call} with images [B, {shape}]"
    yield _entry(program, f"{said} prepared as for the student{_reading(job)}")


def is_one_of(bare: nn.Module, module: nn.Module, image: Tensor) -> bool:
    """Whether a fresh student with the module's state dict is the module: in names, shapes, logits.

    Equal names are not enough: a head may compute something else from the same weight and bias.

    >>> image = torch.ones(1, 2)
    >>> is_one_of(nn.Linear(2, 3), nn.Linear(2, 3), image)
    True
    >>> is_one_of(nn.Linear(2, 3), nn.Linear(2, 3, bias=False), image)
    False
    """
    mine, theirs = module.state_dict(), bare.state_dict()
    if {k: v.shape for k, v in mine.items()} != {k: v.shape for k, v in theirs.items()}:
        return False
    bare.load_state_dict(mine)
    with torch.no_grad():
        return torch.allclose(bare.eval()(image), module(image), rtol=1e-4, atol=1e-5)


def _loading(path: Path) -> str:
    return f'model.load_state_dict(safetensors.torch.load_file("{path.name}"))'


def _entry(path: Path, what: str) -> Product:
    return Product(
        name=path.stem,
        file=path.name,
        bytes=path.stat().st_size,
        sha256=file_hash(path),
        what=what,
    )
