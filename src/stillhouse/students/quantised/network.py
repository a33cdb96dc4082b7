"""A network made into one that rounds as int8 arithmetic would, under the names it had."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from stillhouse.engine.flags import Flags
from stillhouse.errors import ModelError
from stillhouse.faults import first_line
from stillhouse.models.given import copied, set_eval
from stillhouse.models.resnet import SkippingPointwise
from stillhouse.students.quantised.layers import Quantised, QuantisedConv2d, QuantisedLinear
from stillhouse.students.quantised.norms import norms_after

KINDS = (nn.Conv2d, nn.Linear, SkippingPointwise)
"""What is known to compute its weight times its input, and nothing else."""
ODD = ("reflect", "replicate", "circular")
TRIED = (16, 17)
"""Sides of the maps on which a convolution of another class is tried: even and odd."""
RELATED = (nn.modules.conv._ConvNd, nn.Linear, nn.Bilinear, nn.MultiheadAttention)
BITS = range(2, 9)
SHOWN = 3


def quantised(
    module: nn.Module,
    example_image: Tensor,
    *,
    bits: int = 8,
    decay: float = 0.99,
    keep: Sequence[str] = (),
) -> nn.Module:
    """A copy whose convolutions and linear layers round: any method can train it.

    ``y = s_x * s_w * (q_x conv q_w) + b`` with integers q_x, q_w, simulated in float so that
    gradients pass (straight through the rounding). Weights: symmetric, one step per output
    channel, from the largest weight of the moment. Inputs: one affine grid per layer, whose ends
    follow the batches of training. Everything between (norms, activations, sums, pooling) stays
    float, in training and in the converted network. Batch norm needs no folding in training: a
    factor per channel changes the steps of that channel and none of its codes.

    Names of modules and parameters stay, so heads, taps and methods find what they know.

    Args:
        module: any network; not changed.
        example_image: what it takes, [B, C, H, W]; only to see which norm reads which layer.
        bits: of weights and inputs, 2 to 8. 8: Jacob et al.
        decay: of the ends of the input grids. 0.99: PyTorch's moving-average observer takes 0.01
            of the new batch by default.
        keep: paths of layers that stay float.

    Raises:
        ModelError: nothing in it can be rounded, a layer is of a kind that only looks like a known
            one, ``keep`` names what is not there, or it does not take such an image.

    Papers: see `stillhouse.students.quantised.layers`.

    >>> import torch
    >>> net = quantised(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), torch.zeros(1, 1, 2, 2))
    >>> list(net.state_dict())
    ['1.weight', '1.bias', '1.input_range.low', '1.input_range.high', '1.input_range.seen']
    """
    if any(isinstance(part, nn.TransformerEncoderLayer) for part in module.modules()):
        raise ModelError(
            "torch's TransformerEncoderLayer reads the weights of its layers past them, so their "
            "rounding would be skipped; write the block with layers that are called, as in "
            "stillhouse.models.vit.Block"
        )
    if bits not in BITS:
        raise ModelError(f"bits is {bits}; integers of {BITS[0]} to {BITS[-1]} bits are known")
    fresh = copied(module)
    chosen = _chosen(fresh, keep)
    flags = Flags([fresh])
    try:
        set_eval(fresh)
        norms = norms_after(fresh, chosen, example_image)
    except Exception as error:
        shape = list(example_image.shape)
        raise ModelError(
            f"{type(module).__name__} does not take images {shape}: {first_line(error)}"
        ) from error
    finally:
        flags.restore()
    made: dict[int, Quantised] = {}
    for path, part in chosen.items():
        norm = norms.get(path, "")
        if isinstance(part, nn.Conv2d):
            made[id(part)] = QuantisedConv2d.of(part, bits=bits, decay=decay, norm=norm)
        else:
            made[id(part)] = QuantisedLinear.of(part, bits=bits, decay=decay, norm=norm)
    return replaced(fresh, made)


def replaced(module: nn.Module, made: Mapping[int, nn.Module]) -> nn.Module:
    """The module with others in the place of some, by their ids, wherever they stand."""
    if id(module) in made:
        return made[id(module)]
    for parent in list(module.modules()):
        for name, child in list(parent._modules.items()):
            if child is not None and id(child) in made:
                setattr(parent, name, made[id(child)])
    return module


def is_quantised(module: nn.Module) -> bool:
    """Whether a network was made by `quantised`.

    >>> is_quantised(nn.Linear(2, 2))
    False
    """
    return any(isinstance(part, Quantised) for part in module.modules())


def rounding_layers(module: nn.Module) -> dict[str, Quantised]:
    """Its rounding layers by path. Raises ModelError when there are none."""
    found = {name: part for name, part in module.named_modules() if isinstance(part, Quantised)}
    if not found:
        raise ModelError(
            f"{type(module).__name__} has no rounding layer; make it with "
            "stillhouse.students.quantised.quantised(module, image) and train it"
        )
    return found


def _chosen(module: nn.Module, keep: Sequence[str]) -> dict[str, nn.Conv2d | nn.Linear]:
    """The layers to be rounded, by path."""
    parts = dict(module.named_modules())
    missing = [path for path in keep if path not in parts]
    if missing:
        raise ModelError(f"keep: {type(module).__name__} has no module '{missing[0]}'")
    chosen: dict[str, nn.Conv2d | nn.Linear] = {}
    strange = []
    for path, part in parts.items():
        if any(path == kept or path.startswith(f"{kept}.") for kept in keep):
            continue
        if isinstance(part, nn.Conv2d | nn.Linear) and is_plain(part):
            chosen[path] = part
        elif isinstance(part, RELATED):
            strange.append(f"{path} ({type(part).__name__})")
    if strange:
        more = f" and {len(strange) - SHOWN} more" if len(strange) > SHOWN else ""
        wanted = ", ".join([*keep, *(each.partition(" ")[0] for each in strange)])
        raise ModelError(
            f"int8 is known for Conv2d (zero padding) and Linear; {', '.join(strange[:SHOWN])}"
            f"{more} computes something else: keep: [{wanted}] leaves float what is not known"
        )
    if not chosen:
        raise ModelError(f"{type(module).__name__} has no Conv2d or Linear that could be rounded")
    return chosen


def is_plain(part: nn.Module) -> bool:
    """Whether a layer computes its weight times its input, and nothing else.

    A class made from Conv2d or Linear may compute the same in other words, as timm's Linear does,
    or something else, as a convolution that pads by the size of its input: it is tried.

    >>> is_plain(nn.Linear(2, 2)), is_plain(nn.Conv2d(1, 1, 3, padding_mode="reflect"))
    (True, False)
    """
    if not isinstance(part, nn.Conv2d | nn.Linear) or getattr(part, "padding_mode", "") in ODD:
        return False
    if type(part) in KINDS:
        return True
    own = set(dict(part.named_parameters())) | set(dict(part.named_buffers()))
    hooked = part._forward_hooks or part._forward_pre_hooks or any(part.children())
    if hooked or own - {"weight", "bias"}:
        return False
    return all(_same(part, size) for size in TRIED)


def _same(part: nn.Conv2d | nn.Linear, size: int) -> bool:
    """Whether it gives of a random input what the plain layer gives, in train mode too."""
    like, made = part.weight.detach(), torch.Generator().manual_seed(size)
    if isinstance(part, nn.Linear):
        shape: tuple[int, ...] = (2, part.in_features)
    else:
        shape = (2, part.in_channels, size, size)
    x = torch.randn(shape, generator=made).to(like)
    flags = Flags([part])
    try:
        with torch.no_grad():
            plain = (
                nn.functional.linear(x, part.weight, part.bias)
                if isinstance(part, nn.Linear)
                else part._conv_forward(x, part.weight, part.bias)
            )
            given = [part.train(mode)(x) for mode in (True, False)]
    except Exception:
        return False
    finally:
        flags.restore()
    return all(y.shape == plain.shape and torch.allclose(y, plain, atol=1e-5) for y in given)


def share_rounded(module: nn.Module) -> float:
    """The share of its parameters that are weights of rounding layers.

    >>> import torch
    >>> net = quantised(nn.Sequential(nn.Linear(3, 2)), torch.zeros(1, 3))
    >>> share_rounded(net)
    0.75
    """
    weights = {id(part.weight): part.weight for part in rounding_layers(module).values()}
    rounded = sum(weight.numel() for weight in weights.values())
    return rounded / max(sum(p.numel() for p in module.parameters()), 1)


__all__ = ["is_quantised", "quantised", "replaced", "rounding_layers", "share_rounded"]
