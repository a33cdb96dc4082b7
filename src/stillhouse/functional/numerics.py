"""How a formula is evaluated: in full precision, and large intermediates piece by piece.

`by_rows` is for losses over many classes, one value per row; `by_anchors` for losses that relate
all examples, one sum in all. Both make intermediates chunk by chunk and again in backward.
Gradients are exact: the same formula, differentiated piece by piece.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

CHUNK = 2**22
"""Values that a piece may hold: 16 MiB in float32. What holds no more is never cut."""
PIECES = 8
"""How many pieces at least: of each, a formula keeps several tensors; two would not pay."""
MANY = 10_000
"""Columns from which rows are cut; of fewer, a formula is always evaluated as it is."""

Formula = Callable[..., Tensor]


def full(value: Tensor) -> Tensor:
    """Half precision as float32; anything else as it is.

    >>> full(torch.ones(2, dtype=torch.bfloat16)).dtype, full(torch.tensor(3)).dtype
    (torch.float32, torch.int64)
    """
    return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value


def on_device(numbers: Any, device: torch.device) -> Tensor:
    """Numbers as a tensor of a device that is not waited for.

    ``torch.tensor(numbers, device=...)`` ends only when an accelerator has done all that it was
    given before. Not for what runs inside a compiled graph: it copies from the processor's memory.

    >>> on_device([1, 2], torch.device("cpu"))
    tensor([1, 2])
    """
    return torch.tensor(numbers).to(device, non_blocking=True)


def bounded(x: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    """What `torch.clamp` gives, with gradient 1 from bound to bound and 0 outside.

    At a bound itself clamp's own gradient is 1 in some versions of torch and 0 in others, so
    nothing that learns may go through it there. nan stays nan.

    >>> x = torch.tensor([-0.5, 0.0, 1.0, 1.5], requires_grad=True)
    >>> y = bounded(x, 0.0, 1.0)
    >>> y.sum().backward()
    >>> y.tolist(), x.grad.tolist()
    ([0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0])
    """
    cut = x.detach().clamp(low, high)
    return torch.where(x == cut, x, cut)


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """A context in which products are in the precision of their factors.

    >>> x = torch.ones(1, 1)
    >>> with torch.autocast("cpu", torch.bfloat16), without_autocast(x.device):
    ...     print((x @ x).dtype)
    torch.float32
    """
    if torch.compiler.is_compiling() or torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def in_autocast(device: torch.device) -> bool:
    """Whether products are in half precision here; never on a device that has no autocast.

    >>> in_autocast(torch.device("cpu")), in_autocast(torch.device("meta"))
    (False, False)
    """
    known = torch.compiler.is_compiling() or torch.amp.is_autocast_available(device.type)
    return known and torch.is_autocast_enabled(device.type)


def by_rows(formula: Formula, student: Tensor, *others: Tensor) -> Tensor:
    """A formula whose rows are independent, at most `CHUNK` values at a time.

    It is the plain ``formula(student, *others)``, to the bit, unless the student has at least
    `MANY` columns and more than `CHUNK` values. Then only the inputs, one gradient for each input
    that needs one (in its own dtype) and the intermediates of a single chunk are ever alive; the
    formula runs twice per chunk. Second derivatives (``create_graph=True``) are exact, but made in
    one piece; and while compiling it is the plain formula: a compiler fuses on its own.

    Shapes:
        student: [B, C]; others: [B, ...]; returns [B], what the formula gives.

    Args:
        formula: a function of as many tensors, cut to the same rows, that gives one value per row.
            Inputs come as they are: it casts to float32 itself, hence per chunk.
        student: the tensor that decides how rows are cut.
        others: cut beside it. Where one has another number of rows nothing is cut, so that the
            formula itself broadcasts or refuses.

    >>> by_rows(lambda s, t: (s - t).square().sum(1), torch.ones(3, 2), torch.zeros(3, 2))
    tensor([2., 2., 2.])
    """
    rows = student.shape[:1]
    whole = (
        torch.compiler.is_compiling()
        or student.ndim != 2
        or student.shape[1] < MANY
        or student.numel() <= CHUNK
        or any(other.shape[:1] != rows for other in others)
    )
    if whole:
        return formula(student, *others)
    step = _step(*student.shape)
    value: Tensor = _Rows.apply(formula, step, student, *others)  # type: ignore[no-untyped-call]
    return value


def by_anchors(formula: Formula, student: Tensor, *others: Tensor, width: int) -> Tensor:
    """A sum over anchors of what relates each of them to all examples, a few anchors at a time.

    It is the plain formula over all anchors while ``B * width`` is at most `CHUNK`, and while
    compiling. Autocast is off inside: give it float32, sums and gradients add up in that.

    Shapes:
        student: [B, ...]; others: any; returns what the formula gives, such as [].

    Args:
        formula: ``formula(anchors, student, *others)``, where anchors is a slice of the rows of the
            student; gives the sum over these anchors.
        student: its rows are the anchors.
        others: passed on whole.
        width: how many values one anchor makes in the largest intermediate.

    >>> x = torch.tensor([[0.0], [3.0]])
    >>> by_anchors(lambda anchors, x: torch.cdist(x[anchors], x).sum(), x, width=2).item()
    6.0
    """
    size = len(student)
    if torch.compiler.is_compiling() or size * width <= CHUNK:
        with without_autocast(student.device):
            return formula(slice(0, size), student, *others)
    step = _step(size, width)
    total: Tensor = _Anchors.apply(formula, step, student, *others)  # type: ignore[no-untyped-call]
    return total


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, formula: Formula, step: int, *inputs: Tensor) -> Tensor:
        _keep(ctx, formula, step, inputs)
        with without_autocast(inputs[0].device):
            return torch.cat([formula(*_cut(inputs, part)) for part in _parts(inputs[0], step)])

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        inputs = _kept(ctx)
        if torch.is_grad_enabled():
            return (None, None, *_with_graph(ctx, ctx.formula, inputs, upstream))
        gradients = {place: torch.empty_like(inputs[place]) for place in _places(ctx)}
        for part in _parts(inputs[0], ctx.step):
            found = _gradients(ctx.formula, _cut(inputs, part), gradients, upstream[part])
            for gradient, piece in zip(gradients.values(), found, strict=True):
                gradient[part] = piece
            del found, piece  # or it is still there beside the next one
        return (None, None, *(gradients.get(place) for place in range(len(inputs))))


class _Anchors(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, formula: Formula, step: int, *inputs: Tensor) -> Tensor:
        _keep(ctx, formula, step, inputs)
        first, *rest = _parts(inputs[0], step)
        with without_autocast(inputs[0].device):
            total = formula(first, *inputs)
            for part in rest:
                total = total + formula(part, *inputs)
        return total

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        inputs = _kept(ctx)
        if torch.is_grad_enabled():
            plain = partial(ctx.formula, slice(0, len(inputs[0])))
            return (None, None, *_with_graph(ctx, plain, inputs, upstream))
        gradients = {place: torch.zeros_like(inputs[place]) for place in _places(ctx)}
        for part in _parts(inputs[0], ctx.step):
            found = _gradients(partial(ctx.formula, part), inputs, gradients, upstream)
            for gradient, piece in zip(gradients.values(), found, strict=True):
                gradient += piece
        return (None, None, *(gradients.get(place) for place in range(len(inputs))))


def _keep(ctx: Any, formula: Formula, step: int, inputs: Sequence[Tensor]) -> None:
    """Note what backward needs."""
    ctx.formula, ctx.step = formula, step
    # Autograd refuses to keep what was made in inference mode (a teacher's scores, say), though
    # the plain formula takes it: these need no gradient and are held as plain attributes.
    ctx.frozen = [x if x.is_inference() else None for x in inputs]
    ctx.save_for_backward(*(None if x.is_inference() else x for x in inputs))


def _kept(ctx: Any) -> list[Tensor]:
    pairs = zip(ctx.frozen, ctx.saved_tensors, strict=True)
    return [saved if frozen is None else frozen for frozen, saved in pairs]


def _step(rows: int, width: int) -> int:
    """How many rows a piece has."""
    return max(1, min(CHUNK // width, rows // PIECES))


def _parts(first: Tensor, step: int) -> Iterator[slice]:
    return (slice(start, start + step) for start in range(0, len(first), step))


def _cut(inputs: Sequence[Tensor], part: slice) -> list[Tensor]:
    return [x[part] for x in inputs]


def _places(ctx: Any) -> list[int]:
    """Which of the inputs want a gradient."""
    return [place for place, wanted in enumerate(ctx.needs_input_grad[2:]) if wanted]


def _gradients(
    formula: Formula, inputs: Sequence[Tensor], places: Collection[int], upstream: Tensor
) -> tuple[Tensor, ...]:
    """The gradients in the inputs at these places: the formula once more, in a graph that dies."""
    pieces = [x.detach().requires_grad_(place in places) for place, x in enumerate(inputs)]
    learning = [pieces[place] for place in places]
    with torch.enable_grad(), without_autocast(pieces[0].device):
        return _slopes(formula(*pieces), learning, upstream)


def _slopes(
    value: Tensor, learning: Sequence[Tensor], upstream: Tensor, create_graph: bool = False
) -> tuple[Tensor, ...]:
    # As a product, since torch imports its symbolic shapes (34 MiB) to check an upstream gradient.
    total = (value * upstream).sum()
    return torch.autograd.grad(total, learning, create_graph=create_graph, materialize_grads=True)


def _with_graph(
    ctx: Any, formula: Formula, inputs: Sequence[Tensor], upstream: Tensor
) -> Iterator[Tensor | None]:
    """The gradients in all inputs as functions of them, for those who asked for the graph."""
    pieces = [x.view_as(x) for x in inputs]  # one input may be given twice
    places = _places(ctx)
    with without_autocast(pieces[0].device):
        learning = [pieces[place] for place in places]
        found = _slopes(formula(*pieces), learning, upstream, create_graph=True)
    given = dict(zip(places, found, strict=True))
    return (given.get(place) for place in range(len(inputs)))
