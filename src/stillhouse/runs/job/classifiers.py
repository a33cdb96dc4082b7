"""Classifiers that a network gets in place of its own: of its task, or of centres of classes."""

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from stillhouse.engine.flags import Flags
from stillhouse.engine.heads import NO_HEAD, emptied_head, find_head
from stillhouse.errors import ModelError
from stillhouse.faults import first_line
from stillhouse.models.cosine_head import CosineHead
from stillhouse.models.given import set_eval
from stillhouse.recipes.networks import ModelSection


def put_head(
    module: nn.Module,
    make: Callable[[int, int], nn.Module | None],
    section: ModelSection,
    classes: int,
    *,
    who: str,
) -> None:
    """Put the classifier that a task wants in place of a network's own Linear or cosines.

    The task knows the scale of the cosines that it learns from; a network's own may have another.

    Args:
        module: that is changed.
        make: of (width, classes); gives None where the task takes any classifier.
        section: that may name the place.
        classes: to tell apart.
        who: what the user calls it.

    Raises:
        ModelError: there is no Linear to replace.
    """
    if make(1, 1) is None:
        return
    path = section.head_path or find_head(module, who=who)
    old = None if path == NO_HEAD else dict(module.named_modules()).get(path)
    if not isinstance(old, nn.Linear | CosineHead):
        what = "returns its embedding" if old is None else f"ends in a {type(old).__name__}"
        raise ModelError(
            f"{who}: the task puts a classifier of its own on the embedding of a network that "
            f"learns, in place of its last Linear, and this one {what}; give one whose last layer "
            "is a Linear, or name that (head_path: PATH)"
        )
    made = make(old.in_features, classes)
    parent, _, name = path.rpartition(".")
    if made is None or not name:
        raise ModelError(f"{who}: a network that is one Linear has no embedding to compare")
    setattr(module.get_submodule(parent), name, made)


def cut_head(module: nn.Module, section: ModelSection, *, who: str) -> None:
    """Take the classifier off a network, which then gives its embedding and says so (``embeds``).

    Raises:
        ModelError: there is no Linear to take off.
    """
    path = section.head_path or find_head(module, who=who)
    if path == NO_HEAD:
        return
    old = dict(module.named_modules()).get(path)
    parent, _, name = path.rpartition(".")
    if not isinstance(old, nn.Linear) or not name:
        what = "is one Linear" if not name else f"ends in a {type(old).__name__}"
        raise ModelError(
            f"{who}: the task asks for its embedding, what its last Linear reads, and it {what}; "
            "give one whose last layer is a Linear, name that (head_path: PATH), or one that "
            "returns its embedding (head_path: none)"
        )
    setattr(module.get_submodule(parent), name, nn.Identity())
    module.embeds = True  # type: ignore[assignment]


def with_cosines(
    module: nn.Module, image: Tensor, make: Callable[[int], CosineHead], *, who: str
) -> nn.Module:
    """A network that gives its embedding, with a classifier of cosines on it.

    It takes the place of the classifier that was taken away (then the network is changed), or
    stands behind the network, as 'fc' of both together.

    Args:
        module: that gives an embedding [B, D].
        image: that it reads.
        make: gives the classifier of an embedding of that width.
        who: what the user calls it.

    Raises:
        ModelError: what it gives is no embedding.

    >>> net, image = nn.Sequential(nn.Flatten()), torch.zeros(1, 1, 2, 2)
    >>> with_cosines(net, image, lambda width: CosineHead(width, 3), who="teacher")
    Sequential(
      (network): Sequential(
        (0): Flatten(start_dim=1, end_dim=-1)
      )
      (fc): CosineHead(width=4, classes=3, scale=64)
    )
    """
    flags = Flags([module])
    set_eval(module)
    try:
        with torch.no_grad():
            given = module(image)
    except Exception as error:
        shape = list(image.shape[1:])
        raise ModelError(f"{who} does not take images {shape}: {first_line(error)}") from error
    finally:
        flags.restore()
    if not isinstance(given, Tensor) or given.ndim != 2:
        what = list(given.shape) if isinstance(given, Tensor) else f"a {type(given).__name__}"
        raise ModelError(f"{who}: centres are of embeddings [B, D], and it gives {what}")
    head, place = make(given.shape[1]), emptied_head(module)
    if getattr(module, "embeds", False) is True or isinstance(module, torch.jit.ScriptModule):
        place = None  # what says of itself that it embeds goes on doing so
    if place is None:
        return nn.Sequential(OrderedDict(network=module, fc=head))
    module.set_submodule(place, head)
    return module
