"""Embedders: several networks whose embeddings stand side by side, brought to one scale."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stillhouse.engine.nodes import Role
from stillhouse.engine.signals import EMBEDDING
from stillhouse.errors import ModelError
from stillhouse.functional.numerics import without_autocast
from stillhouse.models import Ensemble
from stillhouse.models.outputs import LOGITS
from stillhouse.representations.standardise import Standardised


class Standardise(nn.Module):
    """Embeddings of one network as `Standardised` has them; as they are before it is `fit`.

    Its statistics are buffers, so that they belong to the weights of whom it stands in.

    >>> scale = Standardise()
    >>> scale.fit(Standardised(torch.tensor([1.0]), torch.eye(1), 2.0))
    >>> scale(torch.tensor([[5.0]]))
    tensor([[2.]])
    """

    mean: Tensor | None
    rotation: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", None)
        self.register_buffer("rotation", None)

    def fit(self, found: Standardised) -> None:
        """Take statistics over; the scale goes into the rotation."""
        self.mean = found.mean.float()
        self.rotation = (found.rotation / found.scale).float()

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings [B, D] in float32."""
        if self.mean is None or self.rotation is None:
            return x.float()
        with without_autocast(x.device):
            return (x.float() - self.mean) @ self.rotation.T


class Embedders(Ensemble):
    """Networks that embed; its embedding is theirs side by side, each of the same weight.

    Each embedding is standardised (`Standardise`, PHI-S) and multiplied by ``sqrt(D / (M d))`` with
    d its width, M the number of networks and D the sum of the widths: so that the mean squared
    difference of two such embeddings is the mean over networks of each one's, and in a cosine or a
    distance all count alike. A linear map onto it is one projector for each network.

    What is standardised, without the factor, is there too: as a role called 'teacher' it gives
    ``teacher.embedding``, ``teacher.:0``, ``teacher.:1``, ...

    Args:
        members: at least one network.
        heads: path of the classifier of each, whose input is its embedding; 'none' where what it
            returns is; None: found.

    Shapes:
        forward: images [B, C, H, W] -> 'logits' [B, D] (the embedding: it has no classifier), and
            '0' [B, d], '1', ...

    Raises:
        ModelError: there are no members, or (when it runs) an embedding is not [B, d].

    Paper: Ranzinger et al., "PHI-S: Distribution Balancing for Label-Free Multi-Teacher
        Distillation", arXiv 2410.01680: embeddings at one scale, all teachers of equal weight.

    >>> one, two = nn.Flatten(), nn.Sequential(nn.Flatten(), nn.Linear(4, 1, bias=False))
    >>> both = Embedders([one, two], ["none", "none"])
    >>> {name: tuple(value.shape) for name, value in both(torch.ones(3, 1, 2, 2)).items()}
    {'logits': (3, 5), '0': (3, 4), '1': (3, 1)}
    """

    embeds = True

    def __init__(self, members: Sequence[nn.Module], heads: Sequence[str | None] = ()) -> None:
        super().__init__(members)
        self.heads = tuple(heads) or (None,) * len(members)
        self.scales = nn.ModuleList(Standardise() for _ in members)

    def fit(self, at: int, found: Standardised) -> None:
        """Bring the embedding of the member at this place to its scale."""
        self.scales.get_submodule(str(at)).fit(found)  # type: ignore[operator]

    def forward(self, *inputs: Tensor, **named: Tensor) -> dict[str, Tensor]:
        """The common embedding, and each member's own."""
        (image,) = (*inputs, *named.values())
        each = [
            scale(_embedding(member, head, image, at))
            for at, (member, head, scale) in enumerate(
                zip(self.members, self.heads, self.scales, strict=True), start=1
            )
        ]
        share = sum(one.shape[1] for one in each) / len(each)
        together = torch.cat([one * (share / one.shape[1]) ** 0.5 for one in each], 1)
        return {LOGITS: together, **{str(at): one for at, one in enumerate(each)}}


def _embedding(member: nn.Module, head: str | None, image: Tensor, at: int) -> Tensor:
    role = Role(f"teacher{at}", member, head=head, reads="image")
    role.known_as = f"teacher {at}"
    role.open([EMBEDDING])
    try:
        found = role.run({"image": image})[f"{role.name}.{EMBEDDING}"]
    finally:
        role.close()
    if found.ndim != 2:
        said = f"its embedding is {list(found.shape)}; of several teachers each gives [rows, width]"
        raise ModelError(f"{role.title}: {said}")
    return found
