"""What a network returned: its tensors by name, and which of them is the logits."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor, nn

from stillhouse.errors import ModelError, nearest

LOGITS = "logits"


def all_outputs(output: Any) -> dict[str, Tensor]:
    """The tensors of what a network returned, under the names that it gave them.

    A mapping (also the output objects of transformers) has keys, a dataclass or any other object
    its attributes, a named tuple its fields and positions, a tuple or list its positions. A tensor
    alone is ``logits``. What is no tensor is left out.

    >>> import torch
    >>> sorted(all_outputs((torch.zeros(1), None, torch.ones(2))))
    ['0', '2']
    """
    if isinstance(output, Tensor):
        return {LOGITS: output}
    named: Iterable[tuple[Any, Any]]
    if isinstance(output, Mapping):
        named = output.items()
    elif isinstance(output, (tuple, list)):
        places = [(str(at), value) for at, value in enumerate(output)]
        named = [*zip(getattr(output, "_fields", ()), output, strict=False), *places]
    elif is_dataclass(output):
        named = [(each.name, getattr(output, each.name)) for each in fields(output)]
    else:
        named = getattr(output, "__dict__", {}).items()
    return {str(name): value for name, value in named if isinstance(value, Tensor)}


def nested_outputs(output: Any) -> dict[str, Tensor]:
    """The tensors of what a network returned, also those in lists under a name: ``maps.0``.

    >>> import torch
    >>> sorted(nested_outputs({"maps": [torch.zeros(1), torch.ones(2)], "x": torch.ones(1)}))
    ['maps.0', 'maps.1', 'x']
    """
    found = all_outputs(output)
    if isinstance(output, Mapping):
        for name, value in output.items():
            if isinstance(value, tuple | list):
                inner = {f"{name}.{key}": each for key, each in all_outputs(value).items()}
                found.update(inner)
    return found


def logits_among(
    outputs: Mapping[str, Tensor], asked: str | int | None = None, classes: int | None = None
) -> str | None:
    """Which of several outputs is the logits; None where that would be a guess.

    It is, in this order: the one that was asked for; the one called ``logits``; the only one; the
    only one of the form [B, classes].

    Args:
        outputs: as `all_outputs` gives them.
        asked: a name or a position.
        classes: how many there are, where that is known.

    >>> import torch
    >>> two = all_outputs((torch.zeros(4, 64), torch.zeros(4, 10)))
    >>> logits_among(two), logits_among(two, classes=10), logits_among(two, 0)
    (None, '1', '0')
    """
    if asked is not None:
        return str(asked) if str(asked) in outputs else None
    if LOGITS in outputs:
        return LOGITS
    distinct = {id(value): name for name, value in reversed(list(outputs.items()))}
    fitting = {
        name
        for name in distinct.values()
        if len(distinct) == 1 or (outputs[name].ndim == 2 and outputs[name].shape[1] == classes)
    }
    return fitting.pop() if len(fitting) == 1 else None


def named_outputs(
    output: Any, asked: str | int | None = None, classes: int | None = None
) -> dict[str, Tensor]:
    """The tensors that a network returned, and ``logits`` where `logits_among` finds them.

    Where an output is asked for and the network gives a single tensor, that is the logits: some
    give further outputs in train mode only.

    >>> import torch
    >>> sorted(named_outputs((torch.zeros(1), torch.ones(2)), 1))
    ['0', '1', 'logits']
    """
    if isinstance(output, Tensor):
        return {LOGITS: output}
    outputs = all_outputs(output)
    key = logits_among(outputs, asked, classes)
    if key is None:
        outputs.pop(LOGITS, None)  # another one was asked for
        return outputs
    return {LOGITS: outputs[key], **{n: v for n, v in outputs.items() if n != LOGITS}}


def layer_output(output: Any) -> Tensor | None:
    """What a layer inside a network gives; None where several have names and none is ``logits``.

    Of a tuple it is the first: what a layer gives stands before what it gives besides, such as its
    attention or a cache. Tuples may lie in tuples.

    >>> import torch
    >>> layer_output((torch.zeros(3), torch.ones(2))), layer_output({"a": torch.ones(1)})
    (tensor([0., 0., 0.]), tensor([1.]))
    >>> layer_output(((torch.zeros(3), None), 7, 7))
    tensor([0., 0., 0.])
    """
    if not isinstance(output, (tuple, list)):
        return named_outputs(output).get(LOGITS)
    found = (
        value if isinstance(value, Tensor) else layer_output(value)
        for value in output
        if isinstance(value, Tensor | tuple | list)
    )
    return next((value for value in found if value is not None), None)


def output_problem(output: Any, asked: str | int | None = None) -> str:
    """What to say where `named_outputs` finds no logits: what there is, and what to do.

    >>> output_problem(None)
    'it gives None; wanted is a tensor of logits, or several tensors by name or position'
    """
    outputs = all_outputs(output)
    if not outputs:
        what = "None" if output is None else f"a {type(output).__module__}.{type(output).__name__}"
        what = what.replace("builtins.", "")
        inside = " without any tensor" if isinstance(output, (Mapping, tuple, list)) else ""
        said = "wanted is a tensor of logits, or several tensors by name or position"
        return f"it gives {what}{inside}; {said}"
    there = ", ".join(f"{name} {list(value.shape)}" for name, value in outputs.items())
    if asked is not None:
        near = nearest(str(asked), outputs)
        return f"there is no output {asked!r} among what it gives ({there}); {near}"
    name = next(iter(outputs))
    return (
        f"it gives several outputs and none is called '{LOGITS}' ({there}); say which is, in its "
        f"section of the recipe (output: {name}) or by stage.with_output(ROLE, {name!r})"
    )


class LogitsOnly(nn.Module):
    """A network of any outputs as one from images to logits.

    Raises:
        ModelError: (when it is called) none of its outputs is the logits.

    >>> import torch
    >>> class Two(nn.Module):
    ...     def forward(self, x):
    ...         return {"features": x, "logits": 2 * x}
    >>> LogitsOnly(Two())(torch.ones(1))
    tensor([2.])
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """The logits."""
        output = self.network(image)
        named = named_outputs(output)
        if LOGITS not in named:
            raise ModelError(f"{type(self.network).__name__}: {output_problem(output)}")
        return named[LOGITS]


class NamedOutputs:
    """A hook after a network's forward: its outputs by name, with its logits among them.

    It is put on networks that are ours to change (made by a recipe, or copies of given ones), so
    that all who run them find the logits. What returns a tensor returns it as before.

    Args:
        asked: which output is the logits, by name or position; None: as `logits_among` finds.
        classes: how many there are.

    Where that would be a guess, what it returned stays as it is, and who reads logits refuses it.

    Raises:
        ModelError: when it is called, where the output that was asked for is not there.
    """

    def __init__(self, asked: str | int | None, classes: int) -> None:
        self.asked, self.classes = asked, classes

    def __call__(self, module: nn.Module, _: Any, output: Any) -> Any:
        """What the network gives to who called it."""
        if isinstance(output, Tensor):
            return output
        named = named_outputs(output, self.asked, self.classes)
        if LOGITS in named:
            return named
        if self.asked is not None:
            raise ModelError(output_problem(output, self.asked))
        return output
