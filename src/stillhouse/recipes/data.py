"""The transfer set of a recipe: images made from the teacher alone, which the student learns on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, create_model, model_validator

from stillhouse.recipes.augment import AugmentSection, augment_words
from stillhouse.recipes.choices import choice_of, choices
from stillhouse.recipes.networks import Count, Section
from stillhouse.synthesis import SYNTHESES, adi, deep_inversion

ADI, REAL = "adi", "real"

if TYPE_CHECKING:
    from stillhouse.recipes.choices import Choice

    Synthesis = Choice  # what the choice below gives
else:
    # What a recipe knows anyway is not asked for: its student, its data.
    _ADI = create_model(
        ADI,
        __base__=choice_of(deep_inversion),
        __doc__="Adaptive DeepInversion, see `stillhouse.synthesis.adi`.",
        name=(Literal["adi"], ...),
        adv=(float, 1.0),
        weights=(Path, ...),
    )
    _PLAIN = [choice_of(each, known=("student", "table")) for each in SYNTHESES if each is not adi]
    Synthesis = choices([*_PLAIN, _ADI])


class TransferSection(Section):
    """A transfer set: the student sees it and never the data, on which it is only tested.

    ``method``: how it is made (`stillhouse.synthesis`); ``real`` takes training images themselves,
    without their labels, and ``adi`` wants the ``weights`` of a student that has learnt already.
    ``count``: how many images. ``seed``: one set for all students, or ``student``: each has its
    own. ``augment``: what they go through, labelled anew by the teacher. ``images_per_epoch``: an
    epoch shows so many views, whatever the count, so that sets of any size are learnt on equally
    long; without it, as many as there are images.
    """

    count: Count
    method: Synthesis = Field("zero_shot", validate_default=True)
    seed: int | Literal["student"] = 0
    augment: Annotated[AugmentSection | Literal["auto"], BeforeValidator(augment_words)] = "auto"
    images_per_epoch: Count | None = None

    @model_validator(mode="after")
    def _each_is_shown(self) -> "TransferSection":
        if self.images_per_epoch is not None and self.images_per_epoch < self.count:
            raise ValueError(
                f"images_per_epoch is {self.images_per_epoch} and there are {self.count} images, "
                "so some would never be shown; give at least as many"
            )
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """Name and settings of the method."""
        return {"name": self.method.name, **self.method.settings()}
