"""Structured pruning: whole channels go, and with them all weights that read or feed them."""

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stillhouse.errors import MissingExtra, ModelError
from stillhouse.models.given import copied, set_eval
from stillhouse.models.outputs import LogitsOnly
from stillhouse.students.derived import (
    Change,
    DerivedModel,
    UnchangedLayer,
    check_paths,
    classifier,
    numbers,
)


def prune(
    teacher: nn.Module, image: Tensor, *, ratio: float, keep: Sequence[str] | None = None
) -> DerivedModel:
    """A copy of a network with a share of the channels of each layer, those of the largest weights.

    Layers that must agree in their channels (both sides of a shortcut, a batch norm behind a
    convolution) are pruned together, by torch-pruning's dependency graph. The importance of a
    channel is the mean over such a group of the squared norms of its weights, each divided by the
    mean of its layer. So widths depend on the ratio alone, and which channels stay on the weights.

    Args:
        teacher: stays as it is; any network that torch-pruning can trace.
        image: one image or more [B, C, H, W] to trace it on.
        ratio: share of the channels that stay, in (0, 1); about its square of the weights do.
        keep: paths of layers whose outputs stay as they are; default: the classifier.

    Raises:
        ModelError: the ratio is out of range, there is no such path, torch-pruning cannot prune
            this network, or what it made does not run.
        MissingExtra: torch-pruning is not installed.

    Paper: Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017; groups: Fang et al.,
    DepGraph, CVPR 2023, whose package does the work.

    Differs from the papers: pruned once, and trained afterwards by whatever the recipe says.
    """
    if not 0 < ratio < 1:
        raise ModelError(f"ratio is {ratio}; give a share between 0 and 1, such as 0.5")
    try:
        import torch_pruning
    except ModuleNotFoundError as absent:
        if absent.name != "torch_pruning":
            raise
        raise MissingExtra("derive: prune", "torch-pruning", "prune") from absent
    keep = classifier(teacher) if keep is None else keep
    check_paths(teacher, keep)
    _check_narrowest(teacher, ratio, keep)
    made = copied(teacher, who="teacher")
    set_eval(made)
    before = _outputs(made, image)
    needs = {name: parameter.requires_grad for name, parameter in made.named_parameters()}
    made.requires_grad_(True)  # the graph is traced by autograd
    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")  # of what it does not prune: said below, layer by layer
            torch_pruning.pruner.BasePruner(
                made,
                image,
                importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
                pruning_ratio=1 - ratio,
                ignored_layers=[made.get_submodule(path) for path in keep],
                # its defaults are dicts that all pruners of a process share and fill
                in_channel_groups={},
                out_channel_groups={},
                num_heads={},
            ).step()
        if _outputs(made, image) != before:
            raise ModelError(f"it does not keep the {before} outputs; name their layer in keep")
    except Exception as error:
        said = (str(error).strip().splitlines() or [""])[0][:200]
        who, kind = type(teacher).__name__, type(error).__name__
        raise ModelError(
            f"torch-pruning cannot prune {who} ({kind}: {said}); take derive: low_rank or "
            "depthwise, or name a smaller model"
        ) from error
    for name, parameter in made.named_parameters():
        parameter.requires_grad_(needs.get(name, True))
    changes, kept = _compared(teacher, made, keep)
    return DerivedModel(made.train(teacher.training), changes, kept)


def _check_narrowest(teacher: nn.Module, ratio: float, keep: Sequence[str]) -> None:
    """torch-pruning leaves a layer whole of which no channel would stay."""
    widths = {
        path: _channels(layer)[0]
        for path, layer in teacher.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) and path not in keep
    }
    path, width = min(widths.items(), key=lambda each: each[1], default=("", 0))
    if path and int(width * (1 - (1 - ratio))) < 1:
        least = math.ceil(1000 / width + 1) / 1000
        raise ModelError(
            f"ratio {ratio} leaves no channel of '{path}', which has {width}; the smallest ratio "
            f"of this network is {least}, or name that layer in keep"
        )


def _outputs(module: nn.Module, image: Tensor) -> tuple[int, ...]:
    with torch.no_grad():
        return tuple(LogitsOnly(module)(image).shape[1:])


def _compared(
    teacher: nn.Module, made: nn.Module, keep: Sequence[str]
) -> tuple[tuple[Change, ...], tuple[UnchangedLayer, ...]]:
    changes, kept = [], []
    for path, layer in teacher.named_modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        there = made.get_submodule(path)
        had, has = _channels(layer), _channels(there)
        if had != has:
            how = f"{had[1]} -> {had[0]} channels became {has[1]} -> {has[0]}"
            changes.append(Change(path, numbers(layer), numbers(there), how))
        else:
            why = "asked for" if path in keep else "torch-pruning leaves it as it is"
            kept.append(UnchangedLayer(path, why))
    return tuple(changes), tuple(kept)


def _channels(layer: nn.Module) -> tuple[int, ...]:
    weight = layer.weight
    return tuple(weight.shape[:2]) if isinstance(weight, Tensor) else ()
