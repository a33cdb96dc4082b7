"""Token by token: language models told the next token, and how two of them differ about it."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from stillhouse.errors import WiringError
from stillhouse.functional.classes import divergence
from stillhouse.functional.numerics import by_rows

IGNORED = -100
"""The label of a token that counts for nothing, as in PyTorch and transformers."""

Divergence = Literal["forward_kl", "reverse_kl", "jsd"]


def next_token_loss(logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Of each row the sum of ``-log p(next token)`` over the tokens that count, and their number.

    The logits of position i tell token i + 1 (`next_tokens`). Positions are taken a few at a time
    (`by_rows`), so that the log-probabilities of all of them are never there at once.

    Shapes:
        logits: [B, L, V]; label: [B, L] int64, -100: counts for nothing; returns [B] float32 in
        nats, and [B] float32.

    >>> sums, counts = next_token_loss(torch.zeros(1, 4, 8), torch.tensor([[1, 2, 3, -100]]))
    >>> round(sums.item() / counts.item(), 4), counts.item()
    (2.0794, 2.0)
    """
    wanted = next_tokens(logits, label)
    counts = wanted != IGNORED
    each = by_rows(_cross_entropy, logits.flatten(0, 1), wanted.flatten().clamp_min(0))
    kept = torch.where(counts, each.view(wanted.shape), 0.0)
    return kept.sum(1), counts.sum(1).float()


def token_divergence(
    student: Tensor,
    teacher: Tensor,
    tokens: Tensor,
    *,
    kind: Divergence = "forward_kl",
    beta: float = 0.5,
    temperature: float = 1.0,
) -> Tensor:
    """How the next-token distributions of two models differ, a mean over the tokens that count.

    With p of the student, q of the teacher, ``p = softmax(z / T)``, for each position:

    - 'forward_kl': ``KL(q || p)``; 'reverse_kl': ``KL(p || q)``;
    - 'jsd': ``b KL(q || r) + (1 - b) KL(p || r)`` with ``r = (1 - b) p + b q``: beta is the weight
      of the teacher in the mixture.

    **It jumps at the ends.** For b towards 0 or 1 the JSD goes to 0 (as ``b KL(q || p)`` and
    ``(1 - b) KL(p || q)``), and not to a KL, as libraries have it that say b = 0 for forward and
    b = 1 for reverse KL. So the ends are no JSD here: say the kind.

    There is no factor T squared: token by token it is not the custom. The value of a row is its sum
    over tokens, times rows, divided by the tokens of the batch: the mean over rows is the mean over
    tokens.

    Shapes:
        student, teacher: [B, L, V]; tokens: [B, L] int64, -100: counts for nothing; returns [B]
        float32. Logits [B, V] are of one token each, whose label is not asked for.

    Args:
        student: logits of the learner.
        teacher: logits of the teacher, over the same vocabulary.
        tokens: the labels, of which the position before is told.
        kind: which divergence.
        beta: b, between 0 and 1. 0.5: the default of GKD.
        temperature: T > 0. 1.0: none.

    Raises:
        WiringError: the vocabularies differ, or b is no weight of a mixture.

    Paper: Agarwal et al. 2024 (GKD), arXiv 2306.13649: JSD and reverse KL; Hinton et al. 2015 for
        the forward one.

    Differs from the authors' code: beta weighs the teacher, and its ends are refused.

    >>> s, t = torch.tensor([[[1.0, 0.0]] * 2]), torch.tensor([[[0.0, 1.0]] * 2])
    >>> label = torch.tensor([[0, 1]])
    >>> round(token_divergence(s, t, label).item(), 4)
    0.4621
    >>> round(token_divergence(s, t, label, kind="jsd").item(), 4)
    0.1109
    """
    if student.shape != teacher.shape:
        raise WiringError("token_divergence", [_unlike(student, teacher)])
    formula = divergence_of(kind, beta=beta, temperature=temperature)
    if student.ndim == 2:
        return by_rows(formula, student, teacher)
    counts = next_tokens(student, tokens) != IGNORED
    each = by_rows(formula, student.flatten(0, 1), teacher.flatten(0, 1))
    kept = torch.where(counts, each.view(counts.shape), 0.0)
    return kept.sum(1) * len(counts) / counts.sum().clamp_min(1)


def divergence_of(kind: Divergence, *, beta: float, temperature: float) -> Callable[..., Tensor]:
    """A divergence of logits [N, V] of both, [N], as `token_divergence` has it.

    Raises:
        WiringError: beta is no weight of a mixture.

    >>> formula = divergence_of("reverse_kl", beta=0.5, temperature=1.0)
    >>> round(formula(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])).item(), 4)
    0.4621
    """
    if kind == "jsd" and not 0 < beta < 1:
        said = f"beta is {beta:g}, and at the ends a JSD is 0 for any two models; take a beta "
        raise WiringError("token_divergence", [f"{said}between, or kind forward_kl or reverse_kl"])
    formulas: dict[str, Callable[..., Tensor]] = {
        "forward_kl": _forward,
        "reverse_kl": _reverse,
        "jsd": partial(_jsd, beta=beta),
    }
    return partial(formulas[kind], temperature=temperature)


def check_vocabularies(of_student: int, of_teacher: int) -> None:
    """Make sure that two models tell equally many tokens apart. Raises WiringError.

    >>> check_vocabularies(5, 5)
    """
    if of_student != of_teacher:
        raise WiringError("token_divergence", [_other_vocabulary(of_student, of_teacher)])


def next_tokens(logits: Tensor, label: Tensor) -> Tensor:
    """The token that each position tells; the last one tells none.

    Labels are moved, and logits are not: a cut of them would be a copy as large as they are.

    Shapes:
        logits: [B, L, V], or hidden states [B, L, D]; label: [B, L]; returns [B, L], -100: counts
        for nothing.

    Raises:
        WiringError: they do not belong together.

    >>> next_tokens(torch.zeros(1, 3, 2), torch.tensor([[0, 1, -100]])).tolist()
    [[1, -100, -100]]
    """
    if logits.ndim != 3 or label.shape != logits.shape[:2]:
        said = f"logits {list(logits.shape)} and labels {list(label.shape)}: wanted are "
        raise WiringError("tokens", [f"{said}[B, length, vocabulary] and [B, length]"])
    return F.pad(label[:, 1:], (0, 1), value=IGNORED)


def _unlike(student: Tensor, teacher: Tensor) -> str:
    mine, theirs = student.shape[-1], teacher.shape[-1]
    if mine != theirs:
        return _other_vocabulary(mine, theirs)
    return f"logits {list(student.shape)} and {list(teacher.shape)} differ in shape"


def _other_vocabulary(mine: int, theirs: int) -> str:
    return (
        f"the student tells {mine:,} tokens apart, the teacher {theirs:,}; token by token two "
        "models are compared over one vocabulary: train the student on the tokeniser of the teacher"
    )


def _cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    return F.cross_entropy(logits.float(), label, reduction="none")


def _logs(student: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    return tuple((z.float() / temperature).log_softmax(1) for z in (student, teacher))  # type: ignore[return-value]


def _forward(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    return divergence(*_logs(student, teacher, temperature))


def _reverse(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    mine, theirs = _logs(student, teacher, temperature)
    return divergence(theirs, mine)


def _jsd(student: Tensor, teacher: Tensor, *, temperature: float, beta: float) -> Tensor:
    mine, theirs = _logs(student, teacher, temperature)
    mine_share, their_share = (mine.new_full((), s).log() for s in (1 - beta, beta))
    mixed = torch.logaddexp(mine + mine_share, theirs + their_share)
    return beta * divergence(mixed, theirs) + (1 - beta) * divergence(mixed, mine)
