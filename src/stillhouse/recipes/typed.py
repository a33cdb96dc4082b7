"""The sections of a recipe as mappings with typed keys: what editors complete in a call.

Each has the keys of the section that checks it; what they mean is told there and on the page of
recipes.
"""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, TypedDict

Place = str | PathLike[str]
Named = str | Mapping[str, Any]
"""A name, or {'name': ..., setting: ...}."""

OF_PYTHON = ("transform", "eval_transform")
"""Keys of the data that are functions, which a file of YAML cannot hold."""


class AugmentKeys(TypedDict, total=False):
    """Augmentation of training images (`recipes.data.AugmentSection`)."""

    crop: int
    flip: bool
    cutout: int
    rotate: float
    shift: float
    scale: float
    blur: float
    fade: float
    resized_crop: float
    aspect: float
    brightness: float
    contrast: float
    saturation: float
    hue: float
    randaugment: int
    magnitude: int
    trivial: bool
    erase: float
    mixup: float
    cutmix: float


Augment = str | Sequence[str] | AugmentKeys
"""'auto', 'none', words such as ['crop', 'flip'], or keys with numbers."""


class TokensKeys(TypedDict, total=False):
    """How texts become tokens (`recipes.text.TokensSection`)."""

    tokenizer: str
    vocabulary: int
    max_length: int
    lowercase: bool
    teacher: str | None


class ArchivesKeys(TypedDict, total=False):
    """How .tar archives are shuffled and copied (`recipes.data.ArchivesSection`)."""

    shuffle: int | None
    local: Place | None
    local_gb: float


class DataKeys(TypedDict, total=False):
    """The data, and how they are split and shown (`recipes.data.DataSection`).

    ``source`` may be an object; ``transform`` and ``eval_transform`` are functions of one image.
    """

    source: Any
    transform: Callable[[Any], Any] | None
    eval_transform: Callable[[Any], Any] | None
    image: str | int | None
    label: str | int | None
    text: str | None
    tokens: str | TokensKeys | None
    archives: ArchivesKeys | None
    annotations: Literal["coco", "yolo", "voc", "objects"] | None
    boxes: str | None
    validation: float | int
    test: float | int
    limit: int | None
    unseen: float | int | Sequence[str]
    pairs: Place | None
    folds: Sequence[int] | None
    min_per_class: int
    pictures: bool | Literal["auto"]
    split_seed: int
    view_seed: int
    views: int | Literal["auto", "live"]
    augment: Augment
    size: int | None
    load_size: int | None
    crop_pct: float
    workers: int | Literal["auto"]


class InputKeys(TypedDict, total=False):
    """A network's own form of the image (`recipes.networks.InputSection`)."""

    size: int | Sequence[int] | None
    pad: Sequence[int] | None
    channels: Literal[1, 3] | None
    order: Literal["rgb", "bgr"]
    mean: Sequence[float] | None
    std: Sequence[float] | None


class NetworkKeys(TypedDict, total=False):
    """A network and its weights (`recipes.networks.ModelSection`); ``model`` may be an object."""

    model: Any
    weights: Place | None
    weights_key: str | None
    weights_prefix: str | None
    weights_head: Literal["file", "new"]
    start: str | None
    lr_scale: float
    head_path: str | None
    output: str | int | None
    arguments: Mapping[str, Any]
    frozen: Sequence[str]


class StudentKeys(NetworkKeys, total=False):
    """The student, or how it is made out of its teacher (`recipes.derive.Student`)."""

    head: Literal["own", "shared", "copied"]
    input: InputKeys | None
    quantise: Literal["int8"] | None
    keep: Sequence[str] | None
    derive: Literal["low_rank", "depthwise", "prune", "shared", "thinner"]
    rank: int | None
    ratio: float | None
    energy: float | None
    scheme: Literal["channel", "spatial"]
    bits: int


class TeacherKeys(NetworkKeys, total=False):
    """The teacher, and how it is trained where it has no weights (`recipes.networks.Teacher`)."""

    epochs: int | None
    patience: int | None
    seed: int | Literal["student"]
    until: Mapping[str, float] | None
    head: Any
    method: Named | None
    teacher: Any
    input: InputKeys | None
    classes: Sequence[str | int] | Mapping[str | int, int] | None
    dtype: Literal["float32", "bfloat16", "float16"] | None
    data: str | Mapping[str, Any] | None
    label_smoothing: float
    class_weights: Literal["balanced"] | Sequence[float] | Mapping[str, float] | None
    centres: bool
    members: Sequence[Any]


class OptimizerKeys(TypedDict, total=False):
    """SGD, Adam or AdamW and their settings (`engine.optimisers`); others have torch's."""

    name: str
    lr: float
    momentum: float
    dampening: float
    nesterov: bool
    weight_decay: float
    no_decay: Sequence[Literal["norms", "biases"]]
    betas: Sequence[float]
    eps: float
    amsgrad: bool
    decoupled_weight_decay: bool


class ScheduleKeys(TypedDict, total=False):
    """A schedule of the learning rate, in epochs (`engine.schedules`)."""

    name: Literal["cosine", "multi_step", "step", "one_cycle", "constant"]
    warmup: float
    end: float
    milestones: Sequence[float]
    gamma: float
    every: float
    rise: float


class CacheKeys(TypedDict, total=False):
    """Whether the teacher is cached, and how it is stored (`recipes.schema.CacheSection`)."""

    use: Literal["auto", "always", "never"]
    dtype: str | Mapping[str, str]
    top: int | None
    directory: Place | None
    local: Place | None
    local_gb: float


class BalanceKeys(TypedDict, total=False):
    """Weights of terms by their gradients (`recipes.schema.BalanceSection`)."""

    by: Literal["gradient"]
    share: float
    batches: int


class AverageKeys(TypedDict, total=False):
    """A moving average of the weights (`recipes.average.AverageSection`)."""

    decay: float
    warmup: bool


class VerdictKeys(TypedDict, total=False):
    """What the verdict may say (`recipes.judging.VerdictSection`)."""

    margin: float | None


class TransferKeys(TypedDict, total=False):
    """A transfer set made from the teacher (`recipes.data.TransferSection`)."""

    count: int
    method: Named
    seed: int | Literal["student"]
    augment: Augment
    images_per_epoch: int | None


class ProbeKeys(TypedDict, total=False):
    """A labelled set on which embeddings are probed (`recipes.data.ProbeSection`)."""

    source: str
    image: str | int | None
    label: str | int | None
    validation: float | int
    test: float | int
    split_seed: int
    supervised: bool


class TrackKeys(TypedDict, total=False):
    """Who hears of curves while it trains (`recipes.track.TrackSection`)."""

    to: str | Sequence[str]
    project: str
