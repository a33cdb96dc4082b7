"""A labelled set on which embeddings are probed once networks are trained without labels."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from stillhouse.data.image_rows import image_marks
from stillhouse.data.pixels import channels_of
from stillhouse.data.tables import ImageTable, images_of
from stillhouse.errors import DataError, RecipeError
from stillhouse.recipes.data import DataSection, ProbeSection
from stillhouse.recipes.networks import StudentSection
from stillhouse.recipes.schema import Recipe
from stillhouse.runs.job.data import JobData, open_splits
from stillhouse.runs.job.networks import Network, make_network
from stillhouse.tasks import CLASSIFICATION


@dataclass(frozen=True)
class Probe:
    """The labelled set of a run, and the student as it would be trained on its labels.

    Args:
        section: of the recipe.
        data: its tables, shown as the images of the run are.
        student: with a classifier for its classes; None where none is to be trained with labels.
        notes: what is to be known of it, for people.
    """

    section: ProbeSection
    data: JobData
    student: Network | None
    notes: tuple[str, ...] = ()


def make_probe(
    recipe: Recipe, data: JobData, source: Any = None, *, allow_imports: bool = False
) -> Probe | None:
    """The probe of a recipe; None without one. Its images are shown as those of the run.

    ``source``: of the student, where it was given in place of a name.

    Raises:
        RecipeError: the task has labels of its own, or the set has no test rows.
        DataError: what the source refuses, or images of another form than the run's.
    """
    section = recipe.probe
    if section is None:
        return None
    if data.task.labelled:
        said = f"the task '{data.task.name}' has labels, by which its networks are judged"
        raise RecipeError("probe", [f"{said}; leave it out, or say task: embedding"])
    own = section.model_dump()
    supervised = own.pop("supervised")
    shown = DataSection(**{**recipe.data.model_dump(), **own, "limit": None})
    splits = open_splits(shown)
    if not len(splits.test):
        raise RecipeError("probe.test", [f"{section.test} leaves no rows to test on; give a share"])
    probed = JobData(
        splits, data.augment, shown, data.batch, data.platform, data.transform,
        data.eval_transform, CLASSIFICATION,
    )  # fmt: skip
    mine, theirs = (_form(each) for each in (data, probed))
    if mine != theirs:
        raise DataError(
            f"images of the probe are {theirs}, those of the data {mine}; give data.size, or a "
            "probe of the same form"
        )
    notes = [*(f"probe: {note}" for note in splits.notes), *_seen_before(data, probed)]
    student, base = None, recipe.student
    if supervised and isinstance(base, StudentSection) and not isinstance(source, nn.Module):
        student = make_network(base, probed, source, allow_imports=allow_imports)
    elif supervised and recipe.control:
        notes.append(
            "probe: the student is not trained with the labels, too: it is given as a network, or "
            "made out of its teacher, and a classifier of these classes would be another network"
        )
    return Probe(section, probed, student, tuple(notes))


def _form(data: JobData) -> list[int]:
    """Channels, height and width of what a network sees; channels as they are stored, where no
    transform makes others of them.
    """
    _, *sides = data.image_shape
    table = images_of(data.splits.train, "a probe")
    if data.transform is not None:
        return list(data.image_shape)
    if isinstance(table, ImageTable):
        return [table.channels, *sides]
    return [channels_of(table.read(0), table.where(0)), *sides]


def _seen_before(data: JobData, probed: JobData) -> Iterator[str]:
    """Whether images on which the probe is tested were among those that are learnt on."""
    learnt, tested = image_marks(data.splits.train), image_marks(probed.splits.test)
    twice = len(set(learnt) & set(tested))
    if twice:
        yield (
            f"probe: {twice:,} of its {len(tested):,} test images are among the images that the "
            "student learns on (without labels); give splits of its own to both"
        )


def labels_of(probe: Probe) -> tuple[Tensor, Tensor]:
    """The labels of its training and of its test rows."""
    return probe.data.splits.train.labels, probe.data.splits.test.labels
