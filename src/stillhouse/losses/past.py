"""Past predictions: a memory of what the learner said of each row when it last saw it."""

import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.losses.processes import of_all


class PastPredictions(nn.Module):
    """Cross-entropy with what the learner itself said of each example when it was last shown.

    ``-sum_c q(c) log softmax(z)_c``: q are its probabilities of then, and the hard label for an
    example that was not shown yet. In training mode its new probabilities take their place, after
    they were read. The memory is in buffers, so a checkpoint holds it; of several processes each
    holds that of all.

    Args:
        rows: of the training table.
        classes: of the logits. Memory: ``4 * rows * classes`` bytes on the device, and as many in
            each checkpoint: 20 MB for CIFAR-100, 5 GB for ImageNet.

    Shapes:
        student: [B, K] logits; label: [B] class indices; index: [B] rows; returns [B], float32.

    Paper: Kim et al., "Self-Knowledge Distillation with Progressive Refinement of Targets",
        arXiv 2006.12000: its past predictions, without their weight.

    Differs from the authors' code: not compared; of the weight, see `ps_kd`.

    >>> past = PastPredictions(rows=4, classes=2)
    >>> z, y, row = torch.tensor([[2.0, 0.0]]), torch.tensor([0]), torch.tensor([3])
    >>> [round(past(z, y, row).item(), 4) for _ in range(2)]
    [0.1269, 0.3653]
    """

    said: Tensor
    seen: Tensor

    def __init__(self, rows: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("said", torch.zeros(rows, classes))
        self.register_buffer("seen", torch.zeros(rows, dtype=torch.bool))

    def forward(self, student: Tensor, label: Tensor, index: Tensor) -> Tensor:
        """Read the targets, then remember."""
        log_p = F.log_softmax(student.float(), dim=1)
        hard = F.one_hot(label, log_p.shape[1]).to(log_p)
        target = torch.where(self.seen[index][:, None], self.said[index], hard)
        if self.training:
            self._remember(log_p.detach().exp(), index)
        return -(target * log_p).sum(1)

    def _remember(self, said: Tensor, index: Tensor) -> None:
        said, index = of_all(said), of_all(index)
        self.said[index] = said
        self.seen[index] = True
