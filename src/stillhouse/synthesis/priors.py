"""Formulas that judge images, or what a teacher makes of them: one number for a batch."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.engine.terms import Term
from stillhouse.functional import kl
from stillhouse.functional.numerics import bounded


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


def target_kl(logits: Tensor, target: Tensor, *, temperature: float) -> Tensor:
    """How far the softmax is from its target: ``KL(y, softmax(z / T))``, 0 when it is reached.

    Shapes:
        logits, target: [B, K]; returns [B], float32, in nats.

    >>> target_kl(torch.zeros(1, 2), torch.tensor([[0.5, 0.5]]), temperature=20.0).item()
    0.0
    """
    entropy: Tensor = torch.special.entr(target).sum(1)
    return bounded(soft_cross_entropy(logits, target, temperature=temperature) - entropy, low=0.0)


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
        for number, layer in enumerate(layers):
            for what in ("mean", "var"):
                running = getattr(layer, f"running_{what}").detach().float().clone()
                self.register_buffer(f"{what}{number}", running, persistent=False)

    def forward(self, *inputs: Tensor) -> Tensor:
        """The distance of the batch."""
        return self._distance(_norm_statistics(inputs))

    def _distance(self, statistics: Sequence[Tensor]) -> Tensor:
        pairs = zip(statistics, self.buffers(), strict=True)
        return torch.stack([(value - running).norm() for value, running in pairs]).sum()


def _norm_statistics(inputs: Sequence[Tensor]) -> list[Tensor]:
    """Mean and biased variance of each channel, layer after layer."""
    found: list[Tensor] = []
    for x in inputs:
        var, mean = torch.var_mean(x.float(), [0, *range(2, x.ndim)], correction=0)
        found += [mean, var]
    return found


class MovingNormDistance(NormDistance):
    """`NormDistance` of a moving average over batches, of which the batch in hand is a part.

    ``sum_l |(1 - m) mean(x_l) + m a_l - running_mean_l|`` and the same for variances (L2 norms over
    channels), where ``a`` is what `update_averages` gathered: ``a <- m a + (1 - m) mean(x)`` after
    each batch. Until there is one, and at m = 0, it is `NormDistance`.

    Shapes:
        forward: the inputs of all layers, each [B, C, ...]; returns [], float32.

    Args:
        layers: batch norms.
        momentum: m in 0..1, without 1.

    Paper: Fang et al., "Up to 100x Faster Data-Free Knowledge Distillation", AAAI 2022.

    >>> distance = MovingNormDistance([nn.BatchNorm2d(1)], momentum=0.5)
    >>> distance(torch.full((2, 1, 2, 2), 3.0)).item()  # 3 from the mean, 1 from the variance
    4.0
    >>> distance.update_averages()
    >>> distance(torch.full((2, 1, 2, 2), -3.0)).item()  # with the batch before, the mean is right
    1.0
    """

    def __init__(self, layers: Sequence[nn.Module], *, momentum: float) -> None:
        super().__init__(layers)
        self.momentum = momentum
        self.averages: list[Tensor] = []
        self._last: list[Tensor] = []

    def forward(self, *inputs: Tensor) -> Tensor:
        """The distance of the batch together with those before."""
        statistics = _norm_statistics(inputs)
        if self.training:  # a dry run is no batch
            self._last = [value.detach() for value in statistics]
        return self._distance(self._with_averages(statistics))

    def update_averages(self) -> None:
        """A batch is finished: what was seen of it last goes into the average."""
        self.averages = self._with_averages(self._last)

    def _with_averages(self, statistics: list[Tensor]) -> list[Tensor]:
        if not self.averages:
            return statistics
        own, before = 1 - self.momentum, self.momentum
        pairs = zip(statistics, self.averages, strict=True)
        return [own * value + before * average for value, average in pairs]


def norm_term(
    norms: Sequence[tuple[str, nn.Module]],
    *,
    weight: float,
    distance: Callable[[Sequence[nn.Module]], NormDistance] = NormDistance,
) -> Term:
    """The term 'bn': the distance of the inputs of the teacher's batch norms.

    Args:
        norms: path and module of each, as of `FrozenTeacher.norms`.
        weight: of the term.
        distance: from the modules to what measures.

    >>> norm_term([("1", nn.BatchNorm2d(3))], weight=10.0).reads
    ('teacher.1:in',)
    """
    paths, layers = zip(*norms, strict=True)
    reads = [f"teacher.{path}:in" for path in paths]
    return Term("bn", distance(layers), reads, weight=weight, through=True)


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


def adversarial_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """How little two classifiers differ where they decide alike: ``-[s = t] KL(p_t || p_s)``.

    Minimised, it looks for images that the student would still get wrong, and stops at each that it
    gets wrong. Brackets: 1 where the largest logits are of one class, else 0.

    Shapes:
        student, teacher: [B, K] logits; returns [B], float32, in nats.

    Paper: Fang et al., "Contrastive Model Inversion for Data-Free Knowledge Distillation", IJCAI
        2021.

    >>> near, far = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    >>> round(adversarial_kl(near, 3 * near).item(), 4), adversarial_kl(near, far).item() + 0.0
    (-0.1698, 0.0)
    """
    alike = student.argmax(1) == teacher.argmax(1)
    return -kl(student, teacher, temperature=1.0) * alike
