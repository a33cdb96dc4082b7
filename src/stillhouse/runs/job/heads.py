"""Classifiers that one network takes over from another, and keeps."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.engine.diagnostics import Diagnostic
from stillhouse.engine.heads import NO_HEAD, find_head
from stillhouse.engine.signals import EMBEDDING
from stillhouse.engine.stage import Stage
from stillhouse.engine.taps import tap_problem
from stillhouse.errors import ModelError, RunError
from stillhouse.models import weights_fingerprint
from stillhouse.models.cosine_head import CosineHead
from stillhouse.recipes.networks import ModelSection
from stillhouse.records.fingerprint import fingerprint


def head_path(module: nn.Module, section: ModelSection) -> str:
    """Where a network's classifier is: as named, or the last Linear.

    Raises:
        ModelError: it was named and is not there, or there is no Linear.
    """
    path = section.head_now or find_head(module, who=section.model)
    if path == NO_HEAD:
        said = "gives its embedding here and has no classes, so there is no classifier of it to"
        raise ModelError(
            f"{section.model} {said} take; leave out head (shared, copied or a network)"
        )
    problem = tap_problem(module, path, who=section.model)
    if problem:
        raise ModelError(f"head_path: {problem}")
    return path


def head_of(module: nn.Module, section: ModelSection) -> nn.Module:
    """A network's classifier."""
    return module.get_submodule(head_path(module, section))


def take_head(
    module: nn.Module, section: ModelSection, source: nn.Module, source_section: ModelSection
) -> str:
    """Copy the weights of another network's classifier; gives the path of the one that has them.

    Raises:
        ModelError: the two differ in kind or shape.
    """
    path = head_path(module, section)
    mine, theirs = module.get_submodule(path), head_of(source, source_section)
    here, there = _described(mine), _described(theirs)
    if here != there:
        raise ModelError(
            f"{section.model} cannot take over the classifier of {source_section.model}: its own "
            f"is a {here}, the other a {there}; choose networks whose embeddings are equally wide "
            "and whose classifiers are of one kind"
        )
    with torch.no_grad():
        mine.load_state_dict(theirs.state_dict())
    return path


def with_heads(
    settings: Mapping[str, Any], student: ModelSection, teacher: ModelSection | None
) -> dict[str, Any]:
    """Settings of a method that asks for paths of heads, with those that the networks name."""
    named = {"student_head": student.head_now, "head": teacher and teacher.head_now}
    wanted = {key: path for key, path in named.items() if settings.get(key, "") is None and path}
    return {**settings, **wanted}


def watching_head(stage: Stage) -> Stage:
    """The stage, made to see when it is wired that its product's classifier gives the logits."""
    read = (f"{stage.keeps}.{EMBEDDING}",)
    return replace(stage, diagnostics=[*stage.diagnostics, Diagnostic("classifier", len, read)])


def head_fingerprint(module: nn.Module, section: ModelSection) -> str:
    """What decides the bits of a classifier."""
    return fingerprint({"head": weights_fingerprint(head_of(module, section))})


def check_kept(
    module: nn.Module, section: ModelSection, source: nn.Module, source_section: ModelSection
) -> None:
    """Make sure that a classifier that was taken over has kept its bits.

    Raises:
        RunError: it has not, so what was trained is not what the recipe asks for.
    """
    if head_fingerprint(module, section) != head_fingerprint(source, source_section):
        raise RunError(
            f"the classifier of {section.model} was taken over from {source_section.model} and "
            "has changed in training; its code writes to its own weights, which cannot be frozen"
        )


def _described(module: nn.Module) -> str:
    state = module.state_dict().items()
    shapes = {key: list(value.shape) for key, value in state if isinstance(value, Tensor)}
    inside = ", ".join(f"{key} {shape}" for key, shape in shapes.items())
    if isinstance(module, CosineHead):  # which its state does not hold, and its logits follow
        inside += f", scale {module.scale:g}"
    return f"{type(module).__name__} ({inside or 'no weights'})"
