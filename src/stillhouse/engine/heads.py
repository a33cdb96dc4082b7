"""The head of a classifier: what turns the embedding into logits."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from stillhouse.errors import ModelError
from stillhouse.models.cosine_head import CosineHead

NO_HEAD = "none"
"""In place of a path: the network has no classifier, what it returns is its embedding."""

HEADS = (nn.Linear, nn.Conv2d, CosineHead, nn.Identity)
"""What a network may name as its classifier; an Identity where it was taken away."""
_DISTILLED = re.compile(r"(^|[._])dist(ill|illation|illed)?([._]|$)")
_CALLED_HEAD = re.compile(r"(^|[._])(aux|head|classifier|fc)[a-z0-9_]*$|_(head|classifier)$")
_EMPTIED = re.compile(r"(^|\.)(fc|heads?|classifier)(\.\d+)?$")
_INSIDE = re.compile(r"(Attention|Attn|SqueezeExcit\w*|SEModule|SELayer)$")


def find_head(module: nn.Module, *, who: str) -> str:
    """Path of the head of a model; wiring then checks that it gives the logits.

    It is what the network itself names (``pretrained_cfg`` of timm), else the last Linear or
    `CosineHead`, else, where there is none but in attention or gates of channels, the last 1x1
    convolution. Of a head and one for a distillation token the first counts. An Identity in the
    place of a head (``net.fc = nn.Identity()``), behind all others, is the head of a network that
    gives its embedding: what goes in is what comes out. A network that says of itself that it
    ``embeds`` has none (`NO_HEAD`).

    Raises:
        ModelError: the model has no such layer.

    >>> find_head(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), who="student")
    '2'
    >>> find_head(nn.Sequential(nn.Conv2d(4, 3, 1), nn.ReLU(), nn.Flatten(2)), who="student")
    '0'
    >>> find_head(nn.ModuleDict({"net": nn.Linear(4, 3), "fc": nn.Identity()}), who="teacher")
    'fc'
    """
    if getattr(module, "embeds", False) is True:
        return NO_HEAD
    declared = _declared(module)
    if declared is not None:
        return declared
    inside = tuple(
        f"{name}." for name, part in module.named_modules() if _INSIDE.search(type(part).__name__)
    )
    emptied = emptied_head(module)
    if emptied is not None:
        return emptied
    for kind in ((nn.Linear, CosineHead), (nn.Conv2d,)):
        found = [name for name, part in module.named_modules() if _may_be(part, *kind)]
        outside = [name for name in found if not name.startswith(inside)]
        plain: list[str] = [name for name in outside if not _DISTILLED.search(name)]
        if outside:
            return (plain or outside)[-1]
    raise ModelError(
        f"{who} ({type(module).__name__}) has no Linear inside that could be its head; "
        "name the module that gives the logits (head: PATH), or say that it returns its embedding "
        f"and has no classes (head: {NO_HEAD})"
    )


def without_head(module: nn.Module, path: str | None) -> bool:
    """Whether a network has no classifier, so that what it returns is its embedding.

    Args:
        module: the network.
        path: of its head as it was named; None where it is to be found.

    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    >>> without_head(net, None), without_head(net, "none")
    (False, True)
    """
    if path is None:
        return getattr(module, "embeds", False) is True or emptied_head(module) is not None
    return path == NO_HEAD or isinstance(dict(module.named_modules()).get(path), nn.Identity)


def distilled_beside(module: nn.Module, head: str) -> str | None:
    """The head of a distillation token beside this one: the logits may be the mean of the two.

    >>> two = nn.ModuleDict({"head": nn.Linear(4, 3), "head_dist": nn.Linear(4, 3)})
    >>> distilled_beside(two, "head")
    'head_dist'
    """
    if head == NO_HEAD:
        return None
    mine = _shapes(module.get_submodule(head))
    found = [
        name
        for name, part in module.named_modules()
        if name != head and _DISTILLED.search(name) and _shapes(part) == mine
    ]
    return found[-1] if found and mine else None


def heads_beside(module: nn.Module, head: str) -> list[str]:
    """Further heads of the form of this one, such as one that judges each patch.

    >>> two = nn.ModuleDict({"head": nn.Linear(4, 3), "aux_head": nn.Linear(4, 3)})
    >>> heads_beside(two, "head")
    ['aux_head']
    """
    if head == NO_HEAD:
        return []
    main = module.get_submodule(head)
    return [
        name
        for name, part in module.named_modules()
        if name != head and type(part) is type(main) and _CALLED_HEAD.search(name)
        and _shapes(part) == _shapes(main)
    ]  # fmt: skip


def emptied_head(module: nn.Module) -> str | None:
    """Path of an Identity where the classifier was, behind all that could be one; None without.

    >>> emptied_head(nn.ModuleDict({"net": nn.Linear(4, 3), "fc": nn.Identity()}))
    'fc'
    """
    last = None
    for name, part in module.named_modules():
        if _may_be(part, nn.Linear, CosineHead, nn.Conv2d):
            last = None
        elif type(part) is nn.Identity and _EMPTIED.search(name):
            last = name
    return last


def _may_be(part: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Whether it is a Linear, or the same at each position: a convolution of one pixel."""
    return isinstance(part, kinds) and (
        not isinstance(part, nn.Conv2d) or part.kernel_size == (1, 1)
    )


def _shapes(part: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(value.shape) for value in part.parameters()]


def _declared(module: nn.Module) -> str | None:
    """The classifier that a network of timm, or the one inside another module, names."""
    paths = dict(module.named_modules())
    for path, part in paths.items():
        settings = getattr(part, "pretrained_cfg", None)
        named = settings.get("classifier") if isinstance(settings, Mapping) else None
        first = named[0] if isinstance(named, list | tuple) and named else named
        whole = f"{path}.{first}".lstrip(".")
        if isinstance(first, str) and isinstance(paths.get(whole), HEADS):
            others = [each for each in paths.values() if isinstance(each, nn.Linear | CosineHead)]
            # What somebody put behind the network is their classifier.
            behind = path != "" and others and others[-1] not in part.modules()
            return None if behind else whole
    return None


def pooled(value: Tensor) -> Tensor:
    """A map of logits or of an embedding as its mean over positions; a vector as it is.

    >>> import torch
    >>> pooled(torch.ones(2, 3, 4, 4)).shape, pooled(torch.ones(2, 3)).shape
    (torch.Size([2, 3]), torch.Size([2, 3]))
    """
    return value.mean((2, 3)) if value.ndim == 4 else value


def makes_logits(given: Tensor, logits: Tensor, beside: Tensor | None = None) -> bool:
    """Whether what a head gives is the logits, or all that the logits are made of.

    A convolution gives a map, whose mean over positions they are, perhaps of its ReLU; a head
    ``beside`` it for a distillation token gives the other half of their mean.

    >>> import torch
    >>> x = torch.tensor([[[[1.0, -3.0]]]])
    >>> makes_logits(x, torch.tensor([[-1.0]])), makes_logits(x, torch.tensor([[0.5]]))
    (True, True)
    """
    ways = [pooled(given), pooled(given.relu())] if given.ndim == 4 else [given]
    ways += [] if beside is None or beside.shape != given.shape else [(given + beside) / 2]
    return any(
        way.shape == logits.shape
        and torch.allclose(way.float(), logits.float(), atol=1e-4, rtol=1e-3, equal_nan=True)
        for way in ways
    )
