"""Ensemble: several networks that answer together, and each for itself."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.errors import ModelError
from stillhouse.functional.classes import log_sum_exp
from stillhouse.models.calling import run_on
from stillhouse.models.outputs import LOGITS, named_outputs, output_problem


class Ensemble(nn.Module):
    """Networks of the same classes; its logits are ``log mean_m softmax(z_m)``.

    Softmax of these logits is the mean of the members' probabilities. The logits of each member
    are there too, under its number: as a role called 'teacher' it gives ``teacher.logits``,
    ``teacher.:0``, ``teacher.:1``, ...

    Args:
        members: at least one network from images to logits.

    Shapes:
        forward: images [B, C, H, W], or several inputs by name -> 'logits', '0', '1', ..., each
            [B, classes].

    Raises:
        ModelError: there are no members, or they tell different numbers of classes apart.

    >>> both = Ensemble([nn.Flatten(), nn.Sequential(nn.Flatten(), nn.Softmax(1))])
    >>> out = both(torch.tensor([[[[0.0, 1.0986123]]]]))
    >>> [round(p, 4) for p in out["logits"].exp()[0].tolist()], sorted(out)
    ([0.3138, 0.6862], ['0', '1', 'logits'])
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if not members:
            raise ModelError("an ensemble has no members; give at least one network")
        self.members = nn.ModuleList(members)

    def forward(self, *inputs: Tensor, **named: Tensor) -> dict[str, Tensor]:
        """The common answer, and each member's own."""
        each = [_logits(member, inputs, named) for member in self.members]
        widths = sorted({logits.shape[1] for logits in each})
        if len(widths) > 1:
            raise ModelError(f"members of an ensemble tell {widths} classes apart; give one number")
        logs = torch.stack([F.log_softmax(logits.float(), 1) for logits in each])
        together = log_sum_exp(logs, 0) - torch.log(torch.tensor(float(len(each))))
        return {"logits": together, **{str(at): logits for at, logits in enumerate(each)}}


def _logits(member: nn.Module, inputs: Sequence[Tensor], named: Mapping[str, Tensor]) -> Tensor:
    # Copies: a member may change them in place.
    placed, under = [x.clone() for x in inputs], {n: x.clone() for n, x in named.items()}
    output = run_on(member, under) if under and not placed else member(*placed, **under)
    named = named_outputs(output)
    if LOGITS not in named:
        raise ModelError(f"a member ({type(member).__name__}): {output_problem(output)}")
    return named[LOGITS]
