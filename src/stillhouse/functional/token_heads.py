"""Token by token from hidden states: heads are applied in here, a few positions at a time.

The logits of a language model are by far its largest tensor, [B, L, V]. Here they never exist: of a
few positions they are made, compared, and made again in backward.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from stillhouse.functional import numerics
from stillhouse.functional.tokens import (
    IGNORED,
    Divergence,
    check_vocabularies,
    divergence_of,
    next_tokens,
)


def hidden_token_loss(hidden: Tensor, head: Tensor, label: Tensor) -> Tensor:
    """``-log p(next token)``, what a row has of the mean over tokens, ``p = softmax(W h)``.

    It is `stillhouse.functional.tokens.next_token_loss` of the logits ``W h``, scaled such that the
    mean over rows is the mean over the tokens that count; gradients reach both h and W.

    Shapes:
        hidden: [B, L, D]; head: W [V, D]; label: [B, L] int64, -100: counts for nothing; returns
        [B] float32, in nats.
        Memory: of ``numerics.CHUNK`` logits, and one gradient of W.

    >>> label = torch.tensor([[0, 1, 0]])
    >>> round(hidden_token_loss(torch.ones(1, 3, 2), torch.zeros(8, 2), label).item(), 4)
    2.0794
    """
    wanted = next_tokens(hidden, label)
    counts = wanted != IGNORED

    def formula(states: Tensor, tokens: Tensor) -> Tensor:
        return F.cross_entropy(_logits(states, head), tokens, reduction="none")

    each = _in_pieces(formula, len(head), hidden[counts], wanted[counts])
    return _by_rows(each, counts)


def hidden_token_divergence(
    student: Tensor,
    student_head: Tensor,
    teacher: Tensor,
    teacher_head: Tensor,
    tokens: Tensor,
    *,
    kind: Divergence = "forward_kl",
    beta: float = 0.5,
    temperature: float = 1.0,
) -> Tensor:
    """`stillhouse.functional.tokens.token_divergence` of the logits ``W h`` of both models.

    Shapes:
        student, teacher: hidden states [B, L, D], each of its own D; student_head, teacher_head: W
        [V, D] of one V; tokens: [B, L] int64, -100: counts for nothing; returns [B] float32.
        Memory: of ``numerics.CHUNK`` logits of each, and one gradient of the student's W.

    Args:
        student, student_head: of the learner.
        teacher, teacher_head: of the teacher; no gradient reaches them.
        tokens: the labels, of which the position before is told.
        kind, beta, temperature: as of `token_divergence`.

    Raises:
        WiringError: the vocabularies differ, or beta is no weight of a mixture.

    Paper: as of `token_divergence`.

    >>> h, label = torch.eye(2)[None], torch.tensor([[0, 1]])
    >>> one, two = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    >>> round(hidden_token_divergence(h, one, h, two, label).item(), 4)
    0.4621
    """
    check_vocabularies(len(student_head), len(teacher_head))
    formula_of_logits = divergence_of(kind, beta=beta, temperature=temperature)
    teacher, teacher_head = teacher.detach(), teacher_head.detach()
    counts = next_tokens(student, tokens) != IGNORED

    def formula(mine: Tensor, theirs: Tensor) -> Tensor:
        return formula_of_logits(_logits(mine, student_head), _logits(theirs, teacher_head))

    each = _in_pieces(formula, len(student_head), student[counts], teacher[counts])
    return _by_rows(each, counts)


def _logits(states: Tensor, head: Tensor) -> Tensor:
    return F.linear(states.float(), head.float())


def _in_pieces(formula: Callable[..., Tensor], width: int, *rows: Tensor) -> Tensor:
    """A value of each row; of many rows what is in between is made again in backward."""
    count = len(rows[0])
    step = max(1, numerics.CHUNK // width)
    if count <= step:
        return formula(*rows)
    found = []
    for start in range(0, count, step):
        piece = [x[start : start + step] for x in rows]
        value = checkpoint(formula, *piece, use_reentrant=False, preserve_rng_state=False)
        found.append(value)
    return torch.cat(found)


def _by_rows(each: Tensor, counts: Tensor) -> Tensor:
    """Values of the tokens that count as a share of their mean, by row."""
    whole = torch.zeros(counts.shape, dtype=each.dtype, device=each.device)
    whole = whole.masked_scatter(counts, each)
    shares: Tensor = whole.sum(1) * len(counts) / counts.sum().clamp_min(1)
    return shares
