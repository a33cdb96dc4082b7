"""Networks of a run: made by name, by a function of the user's, or given as they are."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from stillhouse.bridges import InputAdapter
from stillhouse.engine.seeding import seeded
from stillhouse.errors import ModelError
from stillhouse.models import build_model, comes_trained, load_weights, weights_fingerprint
from stillhouse.recipes.choices import IMPORT
from stillhouse.recipes.networks import InputSection, ModelSection, Section, StudentSection
from stillhouse.records.code import module_identity
from stillhouse.runs.feeds import Feeds
from stillhouse.runs.imports import imported
from stillhouse.students.quantised import quantised

Source = nn.Module | Callable[[], nn.Module]


@dataclass(frozen=True)
class Network:
    """How to make one network, again and again.

    Args:
        section: its part of the recipe.
        classes, channels, size: of the data.
        source: a module (copied) or a function that makes one, instead of the name.
        allow_imports: whether ``python:package.module:function`` may be imported.
    """

    section: ModelSection
    classes: int
    channels: int
    size: int
    source: Source | None = None
    allow_imports: bool = False

    def make(self, seed: int, teacher: nn.Module | None = None) -> nn.Module:
        """A fresh network, initialised under this seed, with its weights if it has some.

        ``teacher`` matters to students that are made out of it, and to no other.

        Raises:
            ModelError, WeightsError: with what was asked and what exists.
        """
        with seeded(seed, "network"):
            module = self._new()
        if self.section.weights is not None:
            load_weights(module, self.section.weights)
        if self.rounds is None:
            return module
        return quantised(module, torch.zeros(1, self.channels, self.size, self.size))

    @property
    def rounds(self) -> str | None:
        """To what it rounds its weights and inputs, if it does."""
        return self.section.quantise if isinstance(self.section, StudentSection) else None

    @property
    def given(self) -> bool:
        """Whether it comes trained: with a weights file, as a module, or pretrained by name."""
        if self.section.weights is not None or isinstance(self.source, nn.Module):
            return True
        return self.source is None and comes_trained(self.section.model, self.classes)

    def code(self, module: nn.Module) -> dict[str, str]:
        """What a fingerprint must know of it beside name and weights; empty for one of ours."""
        known = {} if self.rounds is None else {"quantise": self.rounds}
        if self.source is None and not self.section.model.startswith(IMPORT):
            return known
        return {"code": module_identity(module), **known}

    def origin(self, seed: int, teacher: nn.Module | None = None) -> dict[str, Any]:
        """What a fingerprint must know of it beside its name: its start and its code."""
        start = self.make(seed, teacher)
        return {"start": weights_fingerprint(start), **self.code(start)}

    def _new(self) -> nn.Module:
        if isinstance(self.source, nn.Module):
            return copy.deepcopy(self.source)
        if self.source is not None:
            return _made_by(self.source, self.section.model)
        if self.section.model.startswith(IMPORT):
            return self._imported()
        return build_model(
            self.section.model, classes=self.classes, channels=self.channels, size=self.size
        )

    def _imported(self) -> nn.Module:
        make = imported(self.section.model, allow=self.allow_imports)
        return _made_by(
            lambda: make(classes=self.classes, channels=self.channels),
            self.section.model.removeprefix(IMPORT),
        )


def _made_by(make: Callable[[], nn.Module], name: str) -> nn.Module:
    module = make()
    if not isinstance(module, nn.Module):
        raise ModelError(f"'{name}' gave a {type(module).__name__}, not a torch.nn.Module")
    return module


def input_of(section: Section) -> InputSection | None:
    """What a section says of the network's own form of the image, if it can and does."""
    found: InputSection | None = getattr(section, "input", None)
    return found


def make_input(section: Section, feeds: Feeds) -> InputAdapter | None:
    """A network's own form of the image, if its section asks for one."""
    wanted = input_of(section)
    if wanted is None:
        return None
    augment = feeds.augment
    mean, std = augment.mean, augment.std
    if wanted.channels is not None and wanted.mean is None and wanted.channels != len(mean):
        mean_of, std_of = sum(mean) / len(mean), sum(std) / len(std)
        to_mean, to_std = (mean_of,) * wanted.channels, (std_of,) * wanted.channels
    else:
        to_mean, to_std = wanted.mean or mean, wanted.std or std
    return InputAdapter(
        mean, std, to_mean=to_mean, to_std=to_std, size=wanted.size, channels=wanted.channels
    )


def make_network(
    section: ModelSection, feeds: Feeds, source: Any = None, *, allow_imports: bool = False
) -> Network:
    """A network for the classes and images of the data."""
    channels, height, _ = feeds.image_shape
    wanted = input_of(section)
    if wanted is not None:
        channels, height = wanted.channels or channels, wanted.size or height
    return Network(section, len(feeds.splits.classes), channels, height, source, allow_imports)
