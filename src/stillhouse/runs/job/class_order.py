"""The classes of a given teacher, where they are in another order than the data's, or more."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from stillhouse.engine.flags import Flags
from stillhouse.engine.heads import find_head
from stillhouse.engine.taps import tap_problem
from stillhouse.errors import ModelError, RecipeError, nearest
from stillhouse.models.given import set_eval
from stillhouse.models.outputs import LOGITS, named_outputs

Names = Sequence[str] | Mapping[str, int]
"""What its outputs are called, in its own order; or of each class of the data the position."""


def class_order(named: Names, classes: Sequence[object], *, role: str) -> list[int]:
    """For each class of the data, in their order, the position among the teacher's outputs.

    Args:
        named: of the recipe.
        classes: of the data.
        role: for messages.

    Raises:
        RecipeError: a class is missing, named twice, or (where there is nothing else that it could
            be) none of the data's.

    >>> class_order(["dog", "cat"], ["cat", "dog"], role="teacher")
    [1, 0]
    >>> class_order({"cat": 281, "dog": 207}, ["cat", "dog"], role="teacher")
    [281, 207]
    """
    wanted = [str(each) for each in classes]
    if isinstance(named, Mapping):
        places = {str(name): at for name, at in named.items()}
        problems = [f"'{name}' is no class of the data; {nearest(name, wanted)}"
                    for name in places if name not in wanted]  # fmt: skip
        if len(set(places.values())) < len(places):
            problems.append("two classes have the same position")
        given = list(places)
    else:
        given = [str(each) for each in named]
        places = {name: at for at, name in enumerate(given)}
        problems = [f"'{name}' is named twice" for name in places if given.count(name) > 1]
    missing = [name for name in wanted if name not in places]
    problems += [f"the data's class '{name}' is not among them; {nearest(name, given)}"
                 for name in missing[:3]]  # fmt: skip
    if problems:
        raise RecipeError(f"{role}.classes", problems)
    return [places[name] for name in wanted]


def own_width(named: Names) -> int:
    """How many outputs a network has whose classes are so named, as far as the names tell.

    >>> own_width(["dog", "cat", "owl"]), own_width({"cat": 1, "dog": 0})
    (3, 2)
    """
    return max(named.values()) + 1 if isinstance(named, Mapping) else len(named)


def put_in_order(
    module: nn.Module,
    order: Sequence[int],
    image: Tensor,
    *,
    role: str,
    head: str | None = None,
    output: str | int | None = None,
) -> None:
    """Make a network's classifier give these of its outputs, in this order, and try that it does.

    Args:
        module: changed; a copy of the user's own.
        order: positions among its outputs.
        image: a few images, to try it on.
        role: for messages.
        head: path of the classifier; None: the last Linear.
        output: which of several outputs is the logits.

    Raises:
        ModelError: it has no such classifier, or its logits are not what that gives.
    """
    path = find_head(module, who=role) if head is None else head
    problem = tap_problem(module, path, who=role)
    if problem:
        raise ModelError(f"head_path: {problem}")
    layer = module.get_submodule(path)
    if not isinstance(layer, nn.Linear | nn.Conv2d) or is_parametrized(layer):
        kind = type(layer).__name__
        raise ModelError(
            f"{role}.classes: '{path}' is a {kind}, whose outputs cannot be put in order; name the "
            "Linear that gives the logits (head_path), or wrap the network so that its outputs "
            "are in the order of the data"
        )
    width = layer.weight.shape[0]
    if max(order) >= width:
        raise ModelError(
            f"{role}.classes: position {max(order)} is asked for, and its classifier '{path}' has "
            f"{width} outputs"
        )
    before = _logits(module, image, output, width)
    with torch.no_grad():
        layer.weight = nn.Parameter(layer.weight[list(order)].clone(), layer.weight.requires_grad)
        if layer.bias is not None:
            layer.bias = nn.Parameter(layer.bias[list(order)].clone(), layer.bias.requires_grad)
    if isinstance(layer, nn.Linear):
        layer.out_features = len(order)
    else:
        layer.out_channels = len(order)
    after = _logits(module, image, output, len(order))
    wanted = None if before is None or before.shape[1] != width else before[:, list(order)]
    if after is None or wanted is None or not torch.allclose(after, wanted, rtol=1e-3, atol=1e-4):
        raise ModelError(
            f"{role}.classes: '{path}' is taken for its classifier, and its logits do not follow "
            "the order of that; name the Linear that gives the logits (head_path)"
        )


def _logits(
    module: nn.Module, image: Tensor, output: str | int | None, width: int
) -> Tensor | None:
    flags = Flags([module])
    try:
        set_eval(module)
        with torch.no_grad():
            return named_outputs(module(image), output, width).get(LOGITS)
    except Exception:  # what it does on images is tried, and told, when the stage is wired
        return None
    finally:
        flags.restore()
