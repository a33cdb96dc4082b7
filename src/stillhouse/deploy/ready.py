"""A network behind its preprocessing: from pixels to logits, or to the embedding."""

import torch
from torch import Tensor, nn

from stillhouse.bridges import InputAdapter
from stillhouse.data.augment import Augment
from stillhouse.deploy.preprocessing import Inside, OwnInput
from stillhouse.engine.heads import NO_HEAD, find_head
from stillhouse.errors import ModelError
from stillhouse.models.given import copied
from stillhouse.models.outputs import LogitsOnly


class Ready(nn.Module):
    """A network with all that stands before it in evaluation, and nothing to prepare.

    Args:
        network: in eval mode; one of several outputs gives its logits.
        inside: what stands before it.
        unit: whether each row is brought to length 1, as an embedding is compared.

    Shapes:
        pixels: uint8, or floats of the same values 0 to 255, [B, C, H, W]; returns [B, D].

    >>> shown = Inside(mean=(0.5,), std=(0.5,))
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    >>> _ = nn.init.ones_(net[1].weight)
    >>> Ready(net, shown)(torch.full((1, 1, 2, 2), 255, dtype=torch.uint8)).round().tolist()
    [[4.0, 4.0]]
    """

    def __init__(self, network: nn.Module, inside: Inside, *, unit: bool = False) -> None:
        super().__init__()
        self.network = LogitsOnly(network)
        self.shown = shown_by(inside)
        self.own = None if inside.own is None else _adapter(inside, inside.own)
        self.mirrored, self.unit = inside.mirrored, unit

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits, or embeddings."""
        image = pixels
        if self.shown is not None:
            # A product, not `float()`: a traced cast would take bytes alone.
            image = (pixels * 1.0).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
            image = self.shown(image).contiguous()
        given = self._answered(image)
        if self.mirrored:
            given = given + self._answered(image.flip(-1))
        return nn.functional.normalize(given, dim=1) if self.unit else given

    def _answered(self, image: Tensor) -> Tensor:
        answer: Tensor = self.network(image if self.own is None else self.own(image))
        return answer.float()


def shown_by(inside: Inside) -> Augment | None:
    """How evaluation shows pixels; None where the input was prepared by somebody's own."""
    if not inside.pixels:
        return None
    return Augment(inside.mean, inside.std)


def _adapter(inside: Inside, own: OwnInput) -> InputAdapter:
    return InputAdapter(
        inside.mean or (0.0,),
        inside.std or (1.0,),
        to_mean=own.mean,
        to_std=own.std,
        size=own.size,
        channels=own.channels,
        bgr=own.bgr,
        pad=own.pad,
    )


def embedder(network: nn.Module, head: str | None = None) -> nn.Module:
    """A copy of a network that gives what its head reads, its embedding.

    Args:
        network: with a head, or without one: then it gives its embedding already.
        head: path of the head; found when not named.

    Raises:
        ModelError: the whole network is its head.

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> embedder(net)(torch.ones(1, 4)).shape
    torch.Size([1, 3])
    """
    made = copied(network, who="student")
    path = head or find_head(made, who="student")
    if path == NO_HEAD:
        return made
    parent, _, name = path.rpartition(".")
    if not name:
        raise ModelError("the student is its head alone, so it has no embedding to hand over")
    setattr(made.get_submodule(parent), name, nn.Identity())
    return made
