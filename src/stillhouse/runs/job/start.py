"""What a network starts from: which part of it came from elsewhere, and which is new here."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from stillhouse.engine.heads import distilled_beside, find_head, heads_beside
from stillhouse.errors import ModelError, WeightsError, WeightsMisfit
from stillhouse.models import LoadedWeights, comes_trained, load_weights
from stillhouse.models.given import Scripted
from stillhouse.recipes.networks import ModelSection
from stillhouse.recipes.weights import PRETRAINED
from stillhouse.records.own_code import IMPORT, imported, said_by


@dataclass(frozen=True)
class Origin:
    """Where the weights of a network that learns on come from.

    Args:
        told: the file or the package, and which classifier is new.
        new: paths of the modules that start fresh, its classifiers; empty where all of it came.
    """

    told: str
    new: tuple[str, ...]

    def came(self, network: nn.Module) -> list[nn.Parameter]:
        """The parameters that came from elsewhere, each once; not what a new part has, too.

        >>> net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3))
        >>> [tuple(p.shape) for p in Origin("weights of a.pt", ("1",)).came(net)]
        [(2, 2), (2,)]
        """
        new = {
            id(parameter)
            for name, parameter in _inner(network).named_parameters(remove_duplicate=False)
            if any(name.startswith(f"{path}.") for path in self.new)
        }
        return [p for p in network.parameters() if id(p) not in new]

    def line(self, scale: float) -> str:
        """What is said of it before anything is trained."""
        kept = "" if self.new else ", its classifier too (weights_head: new starts a fresh one)"
        rate = "" if scale == 1 else f"; what came from there learns at {scale:g} of the rate"
        return f"starts from {self.told}{kept}{rate}"


def _inner(network: nn.Module) -> nn.Module:
    """What names were read of; a network of TorchScript lies inside another module."""
    return network.script if isinstance(network, Scripted) else network


def built_name(section: ModelSection) -> str:
    """The name by which a network is built, with the weights of its package or without."""
    return f"{section.model}:{PRETRAINED}" if section.start == PRETRAINED else section.model


def origin_of(
    module: nn.Module, section: ModelSection, read: LoadedWeights | None, classes: int
) -> Origin:
    """Where a network's start comes from.

    Args:
        module: as it starts.
        section: that says where from.
        read: of its file; None where its package gave the weights.
        classes: that it tells apart.
    """
    if read is not None:
        return Origin(str(read), tuple(dict.fromkeys(n.rpartition(".")[0] for n in read.fresh)))
    name = built_name(section)
    if comes_trained(name, classes):
        return Origin(f"the weights of {name}", ())
    head = section.head_path or find_head(module, who=section.model)
    found = [head, distilled_beside(module, head), *heads_beside(module, head)]
    new = tuple(dict.fromkeys(path for path in found if path is not None))
    said = f"with a new classifier ({', '.join(new)}), which has to be trained"
    return Origin(f"the weights of {name} {said}", new)


def located(file: Path, *, allow_imports: bool) -> Path:
    """Where a file of weights is: its path, or what ``python:PACKAGE.MODULE:NAME`` says.

    Packages that bring weights have a function, or a constant, that says where they lie.

    Raises:
        RecipeError: code may not be imported.
        WeightsError: there is no such thing to import, it fails, or it says no path.

    >>> located(Path("net.pt"), allow_imports=False)
    PosixPath('net.pt')
    >>> located(Path("python:os:devnull"), allow_imports=True)
    PosixPath('/dev/null')
    """
    name = str(file)
    if not name.startswith(IMPORT):
        return file
    try:
        found = imported(name, allow=allow_imports)
    except ModelError as error:
        raise WeightsError(str(error)) from error
    try:
        said = found() if callable(found) else found
    except (Exception, SystemExit) as error:
        raise WeightsError(f"'{name}' does not say where weights are: {said_by(error)}") from error
    if not isinstance(said, str | os.PathLike):
        raise WeightsError(
            f"'{name}' is to give the path of a file or folder of weights, and gives "
            f"{type(said).__name__}"
        )
    return Path(said)


def read_file(
    module: nn.Module,
    section: ModelSection,
    dropped: str | None = None,
    *,
    any_head: bool = False,
    allow_imports: bool = False,
) -> LoadedWeights | None:
    """Copy the weights of a section's file into its network; nothing where it has none.

    Of a start, and where nobody asks for its classifier (``any_head``), that stays as it is where
    the file has none for these classes.

    Args:
        module: of the section.
        section: that says which file.
        dropped: path of a classifier that is taken away afterwards: the file need not have it.

    Raises:
        WeightsError: with the role, what was asked and what exists.
    """
    if section.file is None:
        return None
    try:
        file = located(section.file, allow_imports=allow_imports)
        if dropped is not None:
            return replace(_read(file, module, section, dropped), new_head=None)
        if section.weights_head == "new":
            read = _read(file, module, section, _head(module, section))
            return replace(read, new_head=None) if any_head else read
        try:
            return _read(file, module, section)
        except WeightsMisfit as misfit:
            if section.start is None and not any_head:
                raise WeightsMisfit(_but_its_head(file, module, section, misfit)) from misfit
            try:
                head = _head(module, section)
            except ModelError:  # where it is, nobody knows but the user
                said = f"{misfit}; name its classifier, too (head_path: PATH)"
                raise WeightsError(said) from None
            read = _read(file, module, section, head)
            return replace(read, new_head=None) if any_head else read
    except WeightsError as error:
        role = type(section).__name__.removesuffix("Section").lower()
        raise WeightsError(f"{role}: {error}") from error


def _but_its_head(
    file: Path, module: nn.Module, section: ModelSection, misfit: WeightsMisfit
) -> str:
    """What does not fit; and what to say where all but the classifier does."""
    said = str(misfit)
    if "weights_head" in said:
        return said
    try:
        head = _head(module, section)
        _read(file, module, section, head)
    except (ModelError, WeightsError):
        return said
    return (
        f"{said}. All but its classifier ({head}) fits: say head_path: none where it gives its "
        "embedding, centres: true for a teacher whose classifier is made of that, or weights_head: "
        "new to train one here"
    )


def _head(module: nn.Module, section: ModelSection) -> str:
    return section.head_path or find_head(module, who=section.model)


def _read(
    file: Path, module: nn.Module, section: ModelSection, new_head: str | None = None
) -> LoadedWeights:
    key, prefix = section.weights_key, section.weights_prefix
    return load_weights(module, file, key=key, prefix=prefix, new_head=new_head)
