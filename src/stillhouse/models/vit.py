"""Vision transformers for small images: with a class token, and with a distillation token too."""

import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.errors import ModelError
from stillhouse.models.family import ModelRequest

PATCH = 4
"""Side of a patch in pixels: 7x7 of them in an image of 28x28, 8x8 in one of 32x32."""


class Tokens(nn.Module):
    """Learned tokens before those of the patches, and a learned position for each.

    Shapes: `[B, patches, width]` -> `[B, count + patches, width]`.

    >>> Tokens(2, 49, 8)(torch.zeros(3, 49, 8)).shape
    torch.Size([3, 51, 8])
    """

    def __init__(self, count: int, patches: int, width: int) -> None:
        super().__init__()
        self.learned = nn.Parameter(torch.empty(1, count, width))
        self.positions = nn.Parameter(torch.empty(1, count + patches, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw both anew."""
        nn.init.trunc_normal_(self.learned, std=0.02)
        nn.init.trunc_normal_(self.positions, std=0.02)

    def forward(self, patches: Tensor) -> Tensor:
        """All tokens at their positions."""
        learned = self.learned.expand(patches.shape[0], -1, -1)
        return torch.cat([learned, patches], 1) + self.positions


class Block(nn.Module):
    """Attention and a perceptron of four widths, each behind a layer norm and beside a shortcut.

    Shapes: `[B, tokens, width]` -> the same.

    >>> Block(8, 2)(torch.zeros(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """The tokens after one block."""
        x = x + self.attention(self.norm1(x))
        after: Tensor = x + self.mlp(self.norm2(x))
        return after


class Attention(nn.Module):
    """Self-attention: ``softmax(Q K' / sqrt(d)) V`` in each head of width d.

    Shapes: `[B, tokens, width]` -> the same.

    >>> Attention(8, 2)(torch.zeros(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """What each token gathers from all."""
        query, key, value = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value)
        gathered: Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return gathered


class VisionTransformer(nn.Module):
    """Patches as tokens, a class token before them, blocks of self-attention, a linear classifier.

    With ``distilled`` a second token of the same kind follows the class token, and the classifier
    is `TwoHeads`: one head on each token, the logits their mean, in train and in eval mode. So
    plain training teaches both heads together, and `stillhouse.methods.deit` each its own.

    Modules: patch, tokens, layer1..layerN (each with norm1, attention, norm2, mlp), norm, fc. Taps
    that methods use: `layerN` (tokens, [B, tokens, width]), `fc:in` (the embedding: the class
    token, or both tokens one after the other), with a distillation token `fc.own` and
    `fc.distilled` (the logits of either head).

    Shapes: images `[B, channels, size, size]` -> logits `[B, classes]`.

    Args:
        size: side of the (square) images in pixels, a multiple of the patch.
        width: of the tokens, a multiple of the heads.
        depth: number of blocks.
        heads: of the attention.
        patch: side of a patch in pixels.
        distilled: whether there is a distillation token with a head of its own.
        classes: number of logits.
        channels: channels of the images.

    Raises:
        ModelError: the patch does not divide the size, or the heads the width; `forward` meets
            images of another size.

    Paper: Touvron et al., Training data-efficient image transformers & distillation through
    attention, ICML 2021; Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021.

    Differs from the authors' code: in train mode too the logits are the mean of the two heads
    (there, both are returned); no stochastic depth.

    >>> from stillhouse.models.weights import describe
    >>> sizes = {"size": 224, "width": 192, "depth": 12, "heads": 3, "patch": 16}
    >>> describe(VisionTransformer(**sizes, classes=1000)).parameters
    5717416
    """

    def __init__(
        self,
        *,
        size: int,
        width: int,
        depth: int,
        heads: int,
        classes: int,
        patch: int = PATCH,
        distilled: bool = False,
        channels: int = 3,
    ) -> None:
        super().__init__()
        _check(size, patch, width, heads)
        self.size, self.depth = size, depth
        self.classifying = 2 if distilled else 1
        self.patch = nn.Conv2d(channels, width, patch, stride=patch)
        self.tokens = Tokens(self.classifying, (size // patch) ** 2, width)
        for index in range(depth):
            self.add_module(f"layer{index + 1}", Block(width, heads))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.fc = TwoHeads(width, classes) if distilled else nn.Linear(width, classes)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of a batch of images."""
        if image.shape[-2:] != (self.size, self.size):
            raise ModelError(
                f"this vision transformer has positions for images of {self.size}x{self.size}, got "
                f"{image.shape[-2]}x{image.shape[-1]}; resize them, or build it with their size"
            )
        x = self.tokens(self.patch(image).flatten(2).transpose(1, 2))
        for block in range(1, self.depth + 1):
            x = getattr(self, f"layer{block}")(x)
        logits: Tensor = self.fc(self.norm(x)[:, : self.classifying].flatten(1))
        return logits


class TwoHeads(nn.Module):
    """A head on the class token, one on the distillation token; the logits are their mean.

    Shapes: `[B, 2 * width]`, both tokens one after the other -> `[B, classes]`.

    >>> import torch
    >>> TwoHeads(8, 3)(torch.zeros(2, 16)).shape
    torch.Size([2, 3])
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.own = nn.Linear(width, classes)
        self.distilled = nn.Linear(width, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """The mean of the logits of both heads."""
        own, distilled = tokens.chunk(2, dim=1)
        logits: Tensor = (self.own(own) + self.distilled(distilled)) / 2
        return logits


def build_vit(found: re.Match[str], ask: ModelRequest) -> nn.Module:
    """`vit-192-6-3`: width, depth, heads; `deit-`: with a distillation token; `-p8`: the patch."""
    if ask.size is None:
        raise ModelError(
            f"'{ask.name}' must know the size of its images, and none was given; say it: "
            f"build_model('{ask.name}', classes={ask.classes}, channels={ask.channels}, size=32)"
        )
    height, width = ask.size
    if height != width:
        raise ModelError(
            f"'{ask.name}' reads square images, and these are {height}x{width}; resize them"
        )
    return VisionTransformer(
        size=height,
        width=int(found["width"]),
        depth=int(found["depth"]),
        heads=int(found["heads"]),
        patch=int(found["patch"] or PATCH),
        distilled=found["kind"] == "deit",
        classes=ask.classes,
        channels=ask.channels,
    )


def _check(size: int, patch: int, width: int, heads: int) -> None:
    if size % patch:
        fitting = ", ".join(str(n) for n in range(2, size + 1) if size % n == 0)
        raise ModelError(
            f"patches of {patch}x{patch} do not divide images of {size}x{size}; these do: {fitting}"
        )
    if width % heads:
        raise ModelError(
            f"{heads} heads of attention do not divide a width of {width}; take a multiple"
        )
