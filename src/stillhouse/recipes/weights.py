"""Where the weights of a network come from: none, a file that it is taken from, or its start."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from stillhouse.models.catalogue import OTHERS
from stillhouse.recipes.section import Section, Share

ENSEMBLE = "ensemble"
"""The model of a teacher that is several networks."""

PRETRAINED = "pretrained"
"""The start of a network with the weights that its own package has for it."""


def _written(value: Any) -> Any:
    """A path as text, of which one word is none: a file of that name is ``./pretrained``."""
    if not isinstance(value, Path):
        return value
    return f"./{value}" if value == Path(PRETRAINED) else str(value)


class WeightsSection(Section):
    """A network by name, and the weights that it has or starts from.

    ``weights``: of a file. A teacher with them is given: taken as it is. ``start``: weights that
    were trained elsewhere, from which the network learns on here: a file or folder, or
    ``pretrained`` for those that timm, torchvision or transformers have for the model. Its
    classifier is new where the file's is for another number of classes. ``lr_scale``: what came
    from elsewhere learns at this share of the learning rate, a new classifier at the whole (1: all
    at one rate). ``weights_key`` and ``weights_prefix`` say which part of the file is meant, where
    several would do. ``weights_head: new`` takes all but the classifier, whatever its classes are;
    it then starts fresh and is trained.
    """

    model: str
    weights: Path | None = None
    weights_key: str | None = None
    weights_prefix: str | None = None
    weights_head: Literal["file", "new"] = "file"
    start: Annotated[str, Field(min_length=1), BeforeValidator(_written)] | None = None
    lr_scale: Share = 1.0

    @model_validator(mode="after")
    def _of_one_origin(self) -> Self:
        if self.start is not None and self.weights is not None:
            raise ValueError(
                "weights and start both say where its weights come from; keep weights for a "
                "network that is taken as it is, or start for one that learns on from there"
            )
        if self.lr_scale != 1 and self.start is None:
            more = " in place of weights" if self.weights is not None else ", or pretrained"
            raise ValueError(
                "lr_scale is the share of the rate at which learns what came from elsewhere; say "
                f"start: FILE{more}"
            )
        return self

    @model_validator(mode="after")
    def _of_a_file(self) -> Self:
        asked = [
            name
            for name in ("weights_key", "weights_prefix", "weights_head")
            if getattr(self, name) not in (None, "file")
        ]
        if asked and self.file is None:
            raise ValueError(
                f"{asked[0]} says how a file is read; add weights: FILE, or start: FILE"
            )
        return self

    @model_validator(mode="after")
    def _of_a_package(self) -> Self:
        if self.start is None or self.model == ENSEMBLE:
            return self
        name = self.model.removesuffix(f":{PRETRAINED}")
        if name != self.model:
            raise ValueError(
                f"'{self.model}' says itself where it starts; say {name} with start: "
                f"{self.start}, or leave start out"
            )
        if self.start == PRETRAINED and not name.startswith(OTHERS):
            raise ValueError(
                f"start: {PRETRAINED} is for networks of timm:, torchvision: and hf:, whose "
                f"packages have weights; '{name}' has none of its own: say start: FILE"
            )
        return self

    @property
    def file(self) -> Path | None:
        """The file or folder that its weights, or those of its start, are read from."""
        if self.start is None:
            return self.weights
        return None if self.start == PRETRAINED else Path(self.start)

    @property
    def comes_trained(self) -> bool:
        """Whether its file holds all that it needs: a new classifier has to be trained."""
        return self.weights is not None and self.weights_head == "file"
