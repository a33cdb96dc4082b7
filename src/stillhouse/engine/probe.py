"""Probe: run a model once and see what can be tapped."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.engine.flags import Flags
from stillhouse.engine.heads import distilled_beside, find_head, makes_logits
from stillhouse.engine.signals import LOGITS
from stillhouse.errors import ModelError
from stillhouse.faults import first_line
from stillhouse.models.given import set_eval
from stillhouse.models.outputs import named_outputs

PROBE_BATCH = 2


@dataclass(frozen=True)
class TapRow:
    """One tap: its name, the kind of module, and the shape with the batch as B."""

    tap: str
    kind: str
    shape: str


def probe_taps(module: nn.Module, image: Sequence[int]) -> list[TapRow]:
    """All modules that run once and give a tensor, in the order in which they run.

    Args:
        module: any model of one image.
        image: shape of one input, without the batch.

    Raises:
        ModelError: the model does not take such an input.

    >>> for row in probe_taps(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), [1, 2, 2]):
    ...     print(row.tap, row.kind, row.shape)
    embedding = input of the head, 1:in [B, 4]
    0 Flatten [B, 4]
    1 Linear [B, 3]
    """
    heard: dict[str, Tensor] = {}
    runs: Counter[str] = Counter()
    kinds = {name: type(part).__name__ for name, part in module.named_modules() if name}

    def listen(name: str) -> Any:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            runs[name] += 1
            if isinstance(output, Tensor):
                heard[name] = output

        return hook

    handles = [
        part.register_forward_hook(listen(name)) for name, part in module.named_modules() if name
    ]
    flags = Flags([module])
    try:
        set_eval(module)
        with torch.no_grad():
            output = module(torch.zeros(PROBE_BATCH, *image))
    except Exception as error:
        raise ModelError(
            f"{type(module).__name__} does not take images {list(image)}: {first_line(error)}"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
        flags.restore()
    rows = [
        TapRow(name, kinds[name], _shape(value)) for name, value in heard.items() if runs[name] == 1
    ]
    return [*_embedding(module, heard, named_outputs(output).get(LOGITS)), *rows]


def _embedding(
    module: nn.Module, heard: Mapping[str, Tensor], logits: Tensor | None
) -> list[TapRow]:
    """The input of the head; nothing when the last Linear does not give the logits."""
    try:
        head = find_head(module, who="model")
    except ModelError:
        return []
    given = heard.get(head, logits if head == "" else None)
    if given is None or logits is None or logits.ndim != 2:
        return []
    beside = distilled_beside(module, head) if head else None
    if not makes_logits(given, logits, heard.get(beside or "")):
        return []
    layer = module.get_submodule(head)
    width = getattr(layer, "in_features", getattr(layer, "in_channels", "?"))
    return [TapRow("embedding", f"= input of the head, {head}:in", f"[B, {width}]")]


def _shape(value: Tensor) -> str:
    rest = "".join(f", {n}" for n in value.shape[1:])
    return f"[B{rest}]" if value.ndim and value.shape[0] == PROBE_BATCH else str(list(value.shape))
