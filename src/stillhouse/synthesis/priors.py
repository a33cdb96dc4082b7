"""Formulas that judge images, or what a teacher makes of them: one number for a batch."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def soft_cross_entropy(logits: Tensor, target: Tensor, *, temperature: float) -> Tensor:
    """Cross-entropy against probabilities: ``-sum_c y(c) log softmax(z / T)_c``.

    Shapes:
        logits: [B, K]; target: [B, K], rows sum to one; returns [B], float32, in nats.

    >>> logits, target = torch.tensor([[20.0, 0.0]]), torch.tensor([[0.5, 0.5]])
    >>> round(soft_cross_entropy(logits, target, temperature=20.0).item(), 4)
    0.8133
    """
    value: Tensor = -(target * F.log_softmax(logits.float() / temperature, 1)).sum(1)
    return value


def excess(logits: Tensor, target: Tensor, *, temperature: float) -> Tensor:
    """How far the softmax is from its target: ``KL(y, softmax(z / T))``, 0 when it is reached.

    Shapes:
        logits, target: [B, K]; returns [B], float32, in nats.

    >>> excess(torch.zeros(1, 2), torch.tensor([[0.5, 0.5]]), temperature=20.0).item()
    0.0
    """
    entropy: Tensor = torch.special.entr(target).sum(1)
    return (soft_cross_entropy(logits, target, temperature=temperature) - entropy).clamp_min(0.0)


def total_variation(image: Tensor) -> Tensor:
    """How rough an image is: mean absolute difference to four neighbours, summed over the four.

    The neighbours: right, below, and both below at the side.

    Shapes:
        image: [B, C, H, W]; returns [B], float32.

    Paper: Yin et al., "Dreaming to Distill", CVPR 2020, equation 3.

    Differs from the authors' code: there also the L2 norm of the differences of a whole batch; the
        mean of absolute differences is the form of the CMI benchmark code.

    >>> total_variation(torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])).item()
    3.0
    """
    pairs = (
        (image[:, :, :, :-1], image[:, :, :, 1:]),
        (image[:, :, :-1, :], image[:, :, 1:, :]),
        (image[:, :, 1:, :-1], image[:, :, :-1, 1:]),
        (image[:, :, :-1, :-1], image[:, :, 1:, 1:]),
    )
    return torch.stack([(a - b).abs().flatten(1).mean(1) for a, b in pairs]).sum(0)


def pixel_norm(image: Tensor) -> Tensor:
    """The L2 norm of all pixels of the batch together, as in DeepInversion.

    Shapes:
        image: [B, C, H, W]; returns [], float32.

    >>> pixel_norm(torch.full((1, 1, 2, 2), 2.0)).item()
    4.0
    """
    norm: Tensor = image.float().norm()
    return norm


def one_hot(logits: Tensor) -> Tensor:
    """Cross-entropy with the teacher's own answer: small where it is sure. ``-log max_c p(c)``.

    Shapes:
        logits: [B, K]; returns [B], float32.

    Paper: Chen et al., "Data-Free Learning of Student Networks", ICCV 2019, equation 2.

    >>> round(one_hot(torch.zeros(1, 2)).item(), 4)
    0.6931
    """
    return -F.log_softmax(logits.float(), 1).amax(1)


def inactivity(embedding: Tensor) -> Tensor:
    """How little the teacher's embedding is excited: ``-mean_d |f_d|``.

    Shapes:
        embedding: [B, D]; returns [B], float32.

    Paper: Chen et al., "Data-Free Learning of Student Networks", ICCV 2019, equation 3.

    Differs from the authors' code: nothing; the paper has the L1 norm instead of the mean.

    >>> inactivity(torch.tensor([[1.0, -3.0]])).item()
    -2.0
    """
    return -embedding.float().abs().flatten(1).mean(1)


def imbalance(logits: Tensor) -> Tensor:
    """How unequal the classes of a batch are: ``sum_c m(c) log m(c)``, m the mean softmax.

    Shapes:
        logits: [B, K]; returns [], float32: 0 for one class only, -log K for all alike.

    Paper: Chen et al., "Data-Free Learning of Student Networks", ICCV 2019, equation 4.

    >>> round(imbalance(torch.zeros(3, 2)).item(), 4)
    -0.6931
    """
    entropy: Tensor = torch.special.entr(torch.softmax(logits.float(), 1).mean(0)).sum()
    return -entropy


def gap(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean absolute difference of logits, which does not fade where both are sure.

    ``mean_c |s_c - t_c|``

    Shapes:
        student, teacher: [B, K]; returns [B], float32.

    Paper: Fang et al., "Data-Free Adversarial Distillation", arXiv 1912.11006, equation 4.

    >>> gap(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 1.0]])).item()
    1.5
    """
    return (student.float() - teacher.float()).abs().mean(1)


class NormDistance(nn.Module):
    """How far a batch is from what batch norm has seen in training.

    ``sum_l |mean(x_l) - running_mean_l| + |var(x_l) - running_var_l|`` (L2 norms over channels),
    with the mean and the biased variance of the batch at the input of each batch-norm layer l.

    Shapes:
        forward: the inputs of all layers, each [B, C, ...]; returns [], float32.

    Paper: Yin et al., "Dreaming to Distill", CVPR 2020, equation 4.

    >>> layer = nn.BatchNorm2d(1)
    >>> NormDistance([layer])(torch.full((2, 1, 2, 2), 3.0)).item()
    4.0
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self._count = len(layers)
        for number, layer in enumerate(layers):
            for what in ("mean", "var"):
                kept = getattr(layer, f"running_{what}").detach().float().clone()
                self.register_buffer(f"{what}{number}", kept, persistent=False)

    def forward(self, *inputs: Tensor) -> Tensor:
        """The distance of the batch."""
        found = []
        for number, x in enumerate(inputs):
            over = [0, *range(2, x.ndim)]
            var, mean = torch.var_mean(x.float(), over, correction=0)
            found.append((mean - self.get_buffer(f"mean{number}")).norm())
            found.append((var - self.get_buffer(f"var{number}")).norm())
        return torch.stack(found).sum()


def agreement(student: Tensor, teacher: Tensor, *, temperature: float = 3.0) -> Tensor:
    """How alike two classifiers see an image: ``1 - JS(softmax(s / T), softmax(t / T)) / ln 2``.

    ``JS(p, q) = KL(p, m) / 2 + KL(q, m) / 2`` with ``m = (p + q) / 2``; 1 when they agree, 0 when
    they could not differ more. Minimised, it looks for images that the student gets wrong.

    Shapes:
        student, teacher: [B, K] logits; returns [B], float32.

    Args:
        student, teacher: logits.
        temperature: T > 0. 3.0: the released code of ADI.

    Paper: Yin et al., "Dreaming to Distill", CVPR 2020, equation 8.

    Differs from the authors' code: there p, q and m are clamped to 0.01..0.99, and JS is not
        divided by ln 2.

    >>> far, off = torch.tensor([[300.0, 0.0]]), torch.tensor([[0.0, 300.0]])
    >>> agreement(far, far).item(), round(agreement(far, off).item(), 4) + 0.0
    (1.0, 0.0)
    """
    p = F.softmax(student.float() / temperature, 1)
    q = F.softmax(teacher.float() / temperature, 1)
    mean = (p + q) / 2
    entropy = torch.special.entr
    js: Tensor = entropy(mean).sum(1) - (entropy(p).sum(1) + entropy(q).sum(1)) / 2
    return 1.0 - js / torch.log(js.new_tensor(2.0))
