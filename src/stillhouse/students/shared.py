"""Students that share weights: each layer has a few values, and its weights are indices of them.

A weight costs a few bits then, not 32: ``W[i] = c[k(i)]`` with a codebook c of 2^b values, which
learns, and indices k, which k-means gives once and which stay. The gradient of an entry is the sum
of those of its weights. As much is multiplied as before: the file gets small, not the work.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from stillhouse.errors import ModelError
from stillhouse.models.given import copied
from stillhouse.models.resnet import SkippingPointwise
from stillhouse.students.derived import DerivedModel, Replacement, classifier, rebuilt
from stillhouse.students.k_means import BITS, k_means, packed, packed_bytes, unpacked

CODEBOOK = "codebook"


class SharedWeight(nn.Module):
    """What a layer is whose ``weight`` is read off a codebook; it comes before the layer's class.

    Its state has ``codebook`` [2^bits], which learns, and ``packed``, the indices, which stay.
    """

    codebook: nn.Parameter
    packed: Tensor
    indices: Tensor
    shape: torch.Size

    def looked_up(self) -> Tensor:
        """The weights; a gradient of theirs reaches the codebook as a sum by entry."""
        # `gather`, whose gradient is added up in one order whatever the number of threads
        return self.codebook.gather(0, self.indices.long()).view(self.shape)

    if TYPE_CHECKING:
        weight: Tensor
    else:
        weight = property(looked_up)

    @property
    def bits(self) -> int:
        """Of an index."""
        return len(self.codebook).bit_length() - 1

    def share(self, shape: torch.Size, codebook: nn.Parameter, content: Tensor) -> None:
        """Take the place of a weight of this shape."""
        self.shape = shape
        self.codebook = codebook
        self.register_buffer("packed", content)
        read = unpacked(content, self.bits, shape.numel())
        self.register_buffer("indices", read, persistent=False)

    def _load_from_state_dict(self, *given: Any) -> None:
        super()._load_from_state_dict(*given)
        self.indices = unpacked(self.packed, self.bits, self.shape.numel()).to(self.packed.device)

    def extra_repr(self) -> str:
        """That of the layer, and how its weights are stored."""
        return f"{super().extra_repr()}, {self.bits} bits a weight"


class SharedLinear(SharedWeight, nn.Linear):
    """A Linear with a codebook."""


class SharedConv2d(SharedWeight, nn.Conv2d):
    """A Conv2d with a codebook."""


class SharedPointwise(SharedWeight, SkippingPointwise):
    """A strided 1x1 convolution of our ResNets with a codebook."""


KINDS: Mapping[type[nn.Module], type[SharedWeight]] = {
    nn.Linear: SharedLinear,
    nn.Conv2d: SharedConv2d,
    SkippingPointwise: SharedPointwise,
}


def shared(teacher: nn.Module, *, bits: int, keep: Sequence[str] | None = None) -> DerivedModel:
    """A copy of a network whose Linear and Conv2d layers have 2^bits values of weights each.

    Values and indices are those of k-means of each layer's weights (`k_means`, linear start).
    Biases, norms and all other layers stay as they are and learn. A layer ``path`` keeps its path,
    its class and ``path.weight``, which is computed; its state is ``path.codebook`` and
    ``path.packed``, bits of all indices one after the other: N weights take
    ``ceil(N bits / 8) + 4 * 2^bits`` bytes instead of 4 N.

    Args:
        teacher: stays as it is.
        bits: of an index, 1 to 8.
        keep: paths of layers that stay as they are; default: the classifier (the last Linear).

    Raises:
        ModelError: the number of bits is none of these, weights are not finite, or no such path.

    Paper: Han, Mao and Dally, Deep Compression: Compressing Deep Neural Networks with Pruning,
    Trained Quantization and Huffman Coding, ICLR 2016, arXiv 1510.00149, section 3.

    Differs from the paper: nothing is pruned before, indices are of a fixed length (no Huffman
    code), and the classifier stays; distillation trains the codebooks.

    >>> net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    >>> shared(net, bits=4).changes
    (Change(path='0', before=4160, after=80, how='16 values for 4,096 weights'),)
    """
    if bits not in BITS:
        raise ModelError(f"bits is {bits!r}; an index has {BITS[0]} to {BITS[-1]}, such as 4")

    def decide(layer: Any) -> Replacement | str:
        weight: Tensor = layer.weight
        entries, count = 2**bits, weight.numel()
        if packed_bytes(count, bits) + entries * weight.element_size() >= (
            count * weight.element_size()
        ):
            return f"a codebook of {entries} would not be smaller than {count} weights"
        centres, indices = k_means(weight, entries)
        codebook = nn.Parameter(centres.to(weight.device), weight.requires_grad)
        content = packed(indices, bits).to(weight.device)
        made = _shared(layer, codebook, content)
        return Replacement(made, f"{entries} values for {count:,} weights")

    return rebuilt(teacher, tuple(KINDS), decide, classifier(teacher) if keep is None else keep)


def _shared(layer: Any, codebook: nn.Parameter, content: Tensor) -> nn.Module:
    """A copy of a layer with a codebook in the place of its weight."""
    made, shape = copied(layer), layer.weight.shape
    del made.weight
    made.__class__ = KINDS[type(layer)]
    made.share(shape, codebook, content)
    return made  # type: ignore[no-any-return]


def codebooks(module: nn.Module) -> list[nn.Parameter]:
    """Those of all its layers."""
    return [part.codebook for part in module.modules() if isinstance(part, SharedWeight)]


def is_shared(module: nn.Module) -> bool:
    """Whether a layer of it has a codebook.

    >>> is_shared(nn.Linear(2, 2))
    False
    """
    return any(isinstance(part, SharedWeight) for part in module.modules())


def unshared(module: nn.Module) -> nn.Module:
    """A copy with plain layers of the same weights: as large as before, and without the look-up.

    >>> net = nn.Sequential(nn.Linear(64, 64))
    >>> plain = unshared(shared(net, bits=2, keep=[]).module)
    >>> type(plain[0]).__name__, len(plain[0].weight.unique())
    ('Linear', 4)
    """
    made = copied(module)
    for part in made.modules():
        if isinstance(part, SharedWeight):
            weight = nn.Parameter(part.weight.detach().clone(), part.codebook.requires_grad)
            for name in (CODEBOOK, "packed", "indices"):
                delattr(part, name)
            del part.shape
            plain = next(kind for kind, mine in KINDS.items() if type(part) is mine)
            part.__class__ = plain  # type: ignore[assignment]
            part.register_parameter("weight", weight)
    return made


def with_codebooks(module: nn.Module, state: Mapping[str, Any]) -> nn.Module:
    """A copy of a plain network with codebooks where a state dict has them, ready to load it.

    Args:
        module: built as the teacher of the shared student was.
        state: of the student.

    Raises:
        ModelError: the state is not of such a network.

    >>> net = nn.Sequential(nn.Linear(64, 64))
    >>> small = shared(net, bits=2, keep=[]).module
    >>> twin = with_codebooks(nn.Sequential(nn.Linear(64, 64)), small.state_dict())
    >>> twin.load_state_dict(small.state_dict())
    <All keys matched successfully>
    """
    made = copied(module)
    for name, codebook in state.items():
        path, _, what = name.rpartition(".")
        if what != CODEBOOK:
            continue
        layer, content = dict(made.named_modules()).get(path), state.get(f"{path}.packed")
        bits = len(codebook).bit_length() - 1
        if type(layer) not in KINDS or content is None or len(codebook) != 2**bits:
            raise ModelError(f"'{name}' is no codebook of a layer of {type(module).__name__}")
        weight: Tensor = layer.weight  # type: ignore[union-attr]
        if bits not in BITS or len(content) != packed_bytes(weight.numel(), bits):
            raise ModelError(
                f"'{path}' has {weight.numel():,} weights, and its indices of {bits} bits are of "
                f"another number; take the file that belongs to {type(module).__name__}"
            )
        new = _shared(layer, nn.Parameter(codebook.clone()), content.clone())
        made.set_submodule(path, new)
    return made
