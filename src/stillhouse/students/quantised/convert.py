"""From a trained rounding network to integers, to a file and back, or to plain floats."""

from pathlib import Path

from torch import nn

from stillhouse.errors import ModelError
from stillhouse.models import load_weights
from stillhouse.models.given import copied
from stillhouse.models.resnet import NARROW, SkippingPointwise
from stillhouse.students.quantised.integer import IntegerLayer
from stillhouse.students.quantised.layers import ConvolutionPlan, Quantised, QuantisedConv2d
from stillhouse.students.quantised.network import replaced, rounding_layers


def converted(module: nn.Module) -> nn.Module:
    """The int8 network of a trained rounding one: in eval mode, batch norms folded.

    Its state dict holds int8 weights and float factors, about a quarter of the bytes. It answers
    as the rounding network does in eval mode, but for the last bits of float arithmetic, which may
    move an input by one step of its grid.

    Args:
        module: made by `quantised` and trained; not changed.

    Raises:
        ModelError: it does not round, or a layer of it has never seen a training batch.

    >>> from stillhouse.students.quantised import quantised
    >>> import torch
    >>> net = quantised(nn.Sequential(nn.Linear(3, 2)), torch.zeros(1, 3)).train()
    >>> image = torch.tensor([[0.1, 0.2, 0.3]])
    >>> trained = net(image)
    >>> torch.allclose(converted(net)(image), trained, atol=1e-6)
    True
    """
    unseen = [path for path, layer in rounding_layers(module).items() if not _seen(layer)]
    if unseen:
        raise ModelError(
            f"{', '.join(unseen[:3])} of {type(module).__name__} never read a batch in training, "
            "so its range is not known; train the network first, and leave out what it does not use"
        )
    fresh = copied(module).eval()
    layers = rounding_layers(fresh)
    parts = dict(fresh.named_modules())
    bare = _bare(fresh)
    made = dict(bare.named_modules())
    for path, layer in layers.items():
        form = made[path]
        if isinstance(form, IntegerLayer):
            form.take(layer, parts[layer.norm] if layer.norm else None)
    return bare


def load_integer(module: nn.Module, path: str | Path) -> nn.Module:
    """The int8 network in a file, such as ``student-int8.safetensors`` of a run.

    Args:
        module: a rounding network of the same kind, `quantised(...)`; its values do not count.
        path: the file.

    Raises:
        ModelError: the module does not round.
        WeightsError: the file is missing, damaged, or of another network.
    """
    made = integer_form(module)
    load_weights(made, path)
    return made


def integer_form(module: nn.Module) -> nn.Module:
    """The int8 network of a rounding one without its values: what a file is read into.

    Raises:
        ModelError: it does not round.
    """
    return _bare(copied(module).eval())


def unrounded(module: nn.Module) -> nn.Module:
    """The same network without any rounding: plain layers with the trained weights, in eval mode.

    Raises:
        ModelError: it does not round.

    >>> from stillhouse.students.quantised import quantised
    >>> import torch
    >>> unrounded(quantised(nn.Sequential(nn.Linear(3, 2)), torch.zeros(1, 3)))
    Sequential(
      (0): Linear(in_features=3, out_features=2, bias=True)
    )
    """
    fresh = copied(module).eval()
    return replaced(fresh, {id(part): _plain(part) for part in rounding_layers(fresh).values()})


def _seen(layer: Quantised) -> bool:
    return bool(layer.input_range.seen > 0)


def _bare(module: nn.Module) -> nn.Module:
    """The integer form without values: `module` itself, with other layers inside."""
    layers = rounding_layers(module)
    parts = dict(module.named_modules())
    made: dict[int, nn.Module] = {}
    for layer in layers.values():
        made[id(layer)] = IntegerLayer(layer).to(layer.weight.device).eval()
        if layer.norm:
            made[id(parts[layer.norm])] = nn.Identity()
    return replaced(module, made)


def _plain(layer: Quantised) -> nn.Module:
    """The layer that the rounding one was made of, on the same parameters."""
    if isinstance(layer, QuantisedConv2d):
        kind = (
            SkippingPointwise
            if ConvolutionPlan.of(layer).skips and layer.in_channels < NARROW
            else nn.Conv2d
        )
        made: nn.Conv2d | nn.Linear = kind(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,  # type: ignore[arg-type]
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            layer.dilation,  # type: ignore[arg-type]
            layer.groups,
            layer.bias is not None,
            device="meta",
        )
    else:
        made = nn.Linear(
            layer.in_features, layer.out_features, layer.bias is not None, device="meta"
        )
    for name, parameter in layer.named_parameters(recurse=False):
        setattr(made, name, parameter)
    return made.eval()


__all__ = ["converted", "integer_form", "load_integer", "unrounded"]
