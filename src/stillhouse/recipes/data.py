"""What a student learns on: data, how they are augmented, or a transfer set.

A transfer set is images made from the teacher alone, or some of the real ones without their labels.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, create_model, model_validator

from stillhouse.data.detection.box_forms import BoxForm, Format
from stillhouse.engine.settings import Count, Seed, Side
from stillhouse.errors import nearest
from stillhouse.methods.settings import Weight
from stillhouse.recipes.choices import choice_of, choices
from stillhouse.recipes.section import Section, SplitSize, split_size
from stillhouse.recipes.text import TokensSection
from stillhouse.records.local_copies import DEFAULT_GB
from stillhouse.synthesis import SYNTHESES, adi, deep_inversion

ADI, REAL = "adi", "real"

MOST_WORKERS = 256
Images = Annotated[int, Field(ge=1, le=10_000_000)]
Pixels = Annotated[int, Field(ge=0, le=8192)]
FewPixels = Annotated[float, Field(ge=0, le=8192)]

USUAL: dict[str, Any] = {
    "crop": 4, "flip": True, "cutout": 8, "rotate": 15.0, "shift": 4.0, "scale": 1.2,
    "blur": 1.5, "fade": 0.2, "resized_crop": 0.08, "brightness": 0.4, "contrast": 0.4,
    "saturation": 0.4, "hue": 0.1, "randaugment": 2, "trivial": True, "erase": 0.5,
    "mixup": 1.0, "cutmix": 1.0,
}  # fmt: skip
"""What a word of a list stands for."""
JITTER = ("brightness", "contrast", "saturation", "hue")
"""What the word ``jitter`` of a list stands for."""
OF_PIXELS = (*JITTER, "randaugment", "trivial")
"""What changes colours, which floats have not."""
Factor = Annotated[float, Field(ge=0, le=10)]
Alpha = Annotated[float, Field(ge=0, le=100)]
"""Of a beta distribution: below 1 one of both images prevails, far above 1 both count alike."""


class AugmentSection(Section):
    """Augmentation of training images, see `data.augment.Augment`.

    ``crop``, ``cutout``, ``shift``, ``blur``: pixels; ``rotate``: degrees; ``scale``, ``fade``,
    ``brightness``, ``contrast``, ``saturation``, ``aspect``: factors; ``hue``: a part of the circle
    of colours; ``resized_crop``: least share of the area; ``erase``: share of the images;
    ``randaugment``: operations, of ``magnitude`` 0 to 30; ``mixup``, ``cutmix``: alpha.
    """

    crop: Pixels = 0
    flip: bool = False
    cutout: Pixels = 0
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    shift: FewPixels = 0.0
    scale: Annotated[float, Field(ge=1, le=100)] = 1.0
    blur: FewPixels = 0.0
    fade: Annotated[float, Field(gt=0, le=1)] = 1.0
    resized_crop: Annotated[float, Field(ge=0, le=1)] = 0.0
    aspect: Annotated[float, Field(ge=1, le=100)] = 4 / 3
    brightness: Factor = 0.0
    contrast: Factor = 0.0
    saturation: Factor = 0.0
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    randaugment: Annotated[int, Field(ge=0, le=14)] = 0
    magnitude: Annotated[int, Field(ge=0, le=30)] = 9
    trivial: bool = False
    erase: Annotated[float, Field(ge=0, le=1)] = 0.0
    mixup: Alpha = 0.0
    cutmix: Alpha = 0.0

    @model_validator(mode="after")
    def _can_be_together(self) -> "AugmentSection":
        if self.crop and self.resized_crop:
            raise ValueError("crop and resized_crop both cut the image; give one of them")
        if self.randaugment and self.trivial:
            raise ValueError("randaugment and trivial draw from the same operations; give one")
        default = type(self).model_fields
        for key, of in (("aspect", "resized_crop"), ("magnitude", "randaugment")):
            if not getattr(self, of) and getattr(self, key) != default[key].default:
                raise ValueError(f"{key} is of {of}, which is off; give {of}, or leave {key} out")
        return self


def augment_words(value: Any) -> Any:
    """``[crop, flip]`` is short for ``{crop: 4, flip: true}``; ``none`` for all off.

    ``jitter`` is short for brightness, contrast, saturation and hue.

    >>> augment_words(["flip", "rotate"])
    {'flip': True, 'rotate': 15.0}
    >>> augment_words("jitter")
    {'brightness': 0.4, 'contrast': 0.4, 'saturation': 0.4, 'hue': 0.1}
    """
    if value == "none":
        return {}
    names = [value] if isinstance(value, str) and value != "auto" else value
    if isinstance(names, list):
        known = (*USUAL, "jitter")
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(f"no augmentation '{unknown[0]}'; {nearest(str(unknown[0]), known)}")
        written = [each for name in names for each in (JITTER if name == "jitter" else (name,))]
        return {name: USUAL[name] for name in written}
    return value


class TeacherDataSection(Section):
    """What a teacher is trained on, where that is not what its students are.

    ``limit``: its own number of training rows; ``all``: as many as there are, whatever the limit of
    the students. ``augment``: its own. All else, the rows of validation and test above all, is that
    of the section ``data``.
    """

    limit: Count | Literal["all"] | None = None
    augment: Annotated[AugmentSection | None, BeforeValidator(augment_words)] = None


CROP_PCT = 0.875
"""What evaluation shows of the shorter side: 224 of 256, the usual for ImageNet (and timm's)."""


def _unseen(value: Any) -> Any:
    """A list of names; else a share or a number, as of a split.

    >>> _unseen([3, "cat"]), _unseen("0.2"), _unseen("cat")
    (('3', 'cat'), 0.2, ('cat',))
    """
    if isinstance(value, str) and not value.strip().lstrip("+-").replace(".", "", 1).isdigit():
        return (value,)
    if isinstance(value, list | tuple):
        strange = [each for each in value if not isinstance(each, str | int)]
        if strange:
            raise ValueError(f"it names {strange[0]!r}; a class is named by a word or a number")
        return tuple(map(str, value))
    try:
        return split_size(value)
    except ValueError:
        raise ValueError(
            f"it is {value!r}; give a share of the classes such as 0.1, how many, or their names"
        ) from None


def _tokenizer(value: Any) -> Any:
    return {"tokenizer": value} if isinstance(value, str) else value


class ArchivesSection(Section):
    """How .tar archives (WebDataset) are shuffled, and copied from an object store.

    ``shuffle``: the rows of so many archives are shuffled together, in a new order of archives
    each epoch; without it all rows are. ``local``: where copies of archives on a store lie on this
    machine (``stillhouse/shards`` in your cache folder), ``local_gb``: what they may take.
    """

    shuffle: Count | None = None
    local: Path | None = None
    local_gb: Annotated[float, Field(gt=0, allow_inf_nan=False)] = DEFAULT_GB


Fold = Annotated[int, Field(ge=0, le=1_000_000_000)]


class DataSection(Section):
    """Where samples come from and how they are split and shown.

    ``size``: the side of the images that are shown. ``load_size``: they are held at this larger
    side, so that training cuts its boxes out of pixels that are there; evaluation resizes to
    ``size / crop_pct`` and cuts the middle.
    ``text``: the column of texts, of a task that reads texts, and ``tokens`` how they are cut.
    ``archives``: how .tar archives are shuffled, and copied from an object store.
    ``annotations``: the format of images with boxes ('coco', 'yolo', 'voc', 'objects'), where the
    layout fits several, and ``boxes``: what the four numbers of a box are, where the format leaves
    it open (`stillhouse.data.detection.box_forms.FORMS`); of these ``image`` and ``label`` are the
    columns of images and of objects.
    ``unseen``: classes that are held out of train, validation and test: a share of them, how many,
    or their names; with ``task: verification`` they are who is tested. ``pairs``: a file of the
    pairs that verification is tested on, of which ``folds`` are taken. ``min_per_class``: classes
    with fewer rows to train on are left out. ``pictures``: whether images of these data may stand
    in reports; ``auto``: yes, but not with ``task: verification``, whose data are mostly faces.
    """

    source: str
    image: str | Annotated[int, Field(ge=0)] | None = None
    label: str | Annotated[int, Field(ge=0)] | None = None
    text: str | None = None
    tokens: Annotated[TokensSection | None, BeforeValidator(_tokenizer)] = None
    archives: ArchivesSection | None = None
    annotations: Format | None = None
    boxes: BoxForm | None = None
    validation: SplitSize = 0.1
    test: SplitSize = 0.2
    limit: Count | None = None
    unseen: Annotated[float | int | tuple[str, ...], BeforeValidator(_unseen)] = 0
    pairs: Path | None = None
    folds: Annotated[tuple[Fold, ...], Field(min_length=1)] | None = None
    min_per_class: Count = 1
    pictures: bool | Literal["auto"] = "auto"
    split_seed: Seed = 0
    view_seed: Seed = 0
    views: Count | Literal["auto", "live"] = "auto"
    augment: Annotated[AugmentSection | Literal["auto"], BeforeValidator(augment_words)] = "auto"
    size: Side | None = None
    load_size: Side | None = None
    crop_pct: Annotated[float, Field(gt=0, le=1)] = CROP_PCT
    workers: Annotated[int, Field(ge=0, le=MOST_WORKERS)] | Literal["auto"] = "auto"

    @property
    def resize(self) -> int:
        """The side to which evaluation resizes before it cuts the middle; 0 without a load_size.

        >>> DataSection(source="photos", size=96, load_size=128).resize
        109
        """
        if self.load_size is None or self.size is None:
            return 0
        return math.floor(self.size / self.crop_pct)

    @model_validator(mode="after")
    def _held_large_enough(self) -> "DataSection":
        if self.load_size is None:
            if self.crop_pct != CROP_PCT:
                raise ValueError(
                    "crop_pct is of load_size, which is not given: what is held is shown whole; "
                    "give load_size too, or leave crop_pct out"
                )
            return self
        if self.size is None:
            raise ValueError(
                f"load_size {self.load_size} is how large images are held; say as size how large "
                "they are shown"
            )
        if self.resize > self.load_size:
            raise ValueError(
                f"evaluation shows {self.size} of {self.resize} pixels (crop_pct "
                f"{self.crop_pct:g}), and images are held at load_size {self.load_size}; give at "
                f"least {self.resize}, or crop_pct: 1"
            )
        return self


class ProbeSection(Section):
    """A labelled set on which embeddings are probed that were learnt without labels.

    Its images are shown as those of ``data`` are. ``supervised``: whether the student is trained
    on its labels, too, for comparison.
    """

    source: str
    image: str | Annotated[int, Field(ge=0)] | None = None
    label: str | Annotated[int, Field(ge=0)] | None = None
    validation: SplitSize = 0.1
    test: SplitSize = 0.2
    split_seed: Seed = 0
    supervised: bool = True


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
        adv=(Weight, 1.0),
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

    count: Images
    method: Synthesis = Field("zero_shot", validate_default=True)
    seed: Seed | Literal["student"] = 0
    augment: Annotated[AugmentSection | Literal["auto"], BeforeValidator(augment_words)] = "auto"
    images_per_epoch: Images | None = None

    @model_validator(mode="after")
    def _each_is_shown(self) -> "TransferSection":
        if self.images_per_epoch is not None and self.images_per_epoch < self.count:
            raise ValueError(
                f"images_per_epoch is {self.images_per_epoch} and there are {self.count} images, "
                "so some would never be shown; give at least as many"
            )
        return self

    @model_validator(mode="after")
    def _floats_have_no_colours(self) -> "TransferSection":
        written = self.augment if isinstance(self.augment, AugmentSection) else None
        asked = [key for key in OF_PIXELS if getattr(written, key, False)]
        if asked:
            raise ValueError(
                f"augment: {', '.join(asked)} change the colours of pixels, and a transfer set is "
                "floats; leave them out"
            )
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """Name and settings of the method."""
        return {"name": self.method.name, **self.method.settings()}
