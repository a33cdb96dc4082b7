"""A student made out of a teacher without a run: the two networks, their costs, the files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from stillhouse.deploy.program import export
from stillhouse.engine.seeding import seeded
from stillhouse.errors import RecipeError, RunError
from stillhouse.recipes.derive import RebuiltSection, ThinnerSection
from stillhouse.recipes.networks import ModelSection
from stillhouse.recipes.schema import Recipe
from stillhouse.records.costs import COSTS, Costs, NetworkCosts
from stillhouse.records.files import write_bytes
from stillhouse.records.tensors import save_tensors
from stillhouse.records.writable import check_writable
from stillhouse.runs.job.derived import check_smaller, rebuild
from stillhouse.runs.job.networks import Network
from stillhouse.runs.judging.costs import as_data, layers_told
from stillhouse.students import DerivedModel, Measures, conditions, measured, thinner

WEIGHTS, PROGRAM = "student.safetensors", "student.pt2"


@dataclass(frozen=True)
class Pair:
    """A teacher and the student that was made out of it.

    Args:
        teacher, student: in eval mode; the student has learnt nothing beyond what it took over.
        names: what they are called.
        image_shape: of both.
        section: how it was made.
        layers: what became of them; None where the student is another network by name.
    """

    teacher: nn.Module
    student: nn.Module
    names: tuple[str, str]
    image_shape: tuple[int, int, int]
    section: RebuiltSection | ThinnerSection
    layers: DerivedModel | None

    def measures(self) -> list[Measures]:
        """Of teacher and student, measured side by side."""
        return measured([self.teacher, self.student], [self.image_shape] * 2)


def derived_pair(
    recipe: Recipe,
    *,
    classes: int,
    image_shape: tuple[int, int, int],
    seed: int = 0,
    allow_imports: bool = False,
) -> Pair:
    """The teacher and the student of a recipe, of which only these two sections matter.

    Raises:
        ModelError, WeightsError, MissingExtra: one of them cannot be made.
    """
    section, source = recipe.student, recipe.teacher
    if source is None or not isinstance(section, RebuiltSection | ThinnerSection):
        raise RecipeError("derive", ["say how: --by low_rank, depthwise, prune, shared or thinner"])
    channels, height, _ = image_shape
    network = Network(source, classes, channels, height, None, allow_imports)
    teacher = network.make(seed).eval()
    if isinstance(section, ThinnerSection):
        name = thinner(
            source.model, ratio=section.ratio, classes=classes, channels=channels, size=height
        )
        student = Network(ModelSection(model=name), classes, channels, height).make(seed)
        return Pair(teacher, student.eval(), (source.model, name), image_shape, section, None)
    made = rebuild(section, teacher, image_shape, head=source.head_now, seed=seed)
    check_smaller(made, section, source.model)
    names = source.model, f"{source.model} {section.model}"
    return Pair(teacher, made.module.eval(), names, image_shape, section, made)


def check_free(out: Path) -> None:
    """Make sure that nothing would be overwritten.

    Raises:
        RunError: one of the files is there.
    """
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file; give a directory (-o)")
    check_writable(out, "give another directory (-o)")
    there = [name for name in (WEIGHTS, PROGRAM, COSTS) if (out / name).exists()]
    if there:
        raise RunError(f"{out} has {', '.join(there)} already; give another directory (-o)")


def write_pair(pair: Pair, sizes: Sequence[Measures], out: Path) -> None:
    """Write the student's weights, its program, and what both cost.

    Raises:
        RunError: one of the files is there.
        ExportError: the student cannot be traced; nothing is written then.
    """
    check_free(out)
    with seeded("derive"):
        program = export(pair.student, torch.randn(4, *pair.image_shape))
    out.mkdir(parents=True, exist_ok=True)
    save_tensors(out / WEIGHTS, pair.student.state_dict(), {"model": pair.names[1]})
    write_bytes(out / PROGRAM, program)
    networks = [
        NetworkCosts(name=role, model=name, **as_data(size))
        for role, name, size in zip(("teacher", "student"), pair.names, sizes, strict=True)
    ]
    Costs(
        derive=pair.section.model_dump(mode="json"),
        model=pair.names[1],
        conditions=conditions(torch.device("cpu")),
        networks=tuple(networks),
        **({} if pair.layers is None else layers_told(pair.layers)),
    ).write(out / COSTS)
