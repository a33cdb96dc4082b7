"""The promises of a loss, one function each: it says how the promise is broken, or None."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from stillhouse.engine.signals import shape_text
from stillhouse.testing.loss_trial import LossTrial

LARGE = 1e4
"""Size of a logit that a training run in trouble reaches, and that a loss must survive."""
DENORMAL = (95.0, 380.0)
"""Gaps of logits whose probability, at T = 1 and T = 4, float32 holds with few digits only."""
STEP = 1e-2
"""Of the finite differences: large enough for float32, small enough for smooth losses."""
COORDINATES = 60
"""How many coordinates of the student are tried with finite differences, at most."""


def _shape(trial: LossTrial) -> str | None:
    value: object = trial.value(*trial.inputs)
    batch = len(trial.inputs[0])
    if not isinstance(value, Tensor):
        return f"it gives a {type(value).__name__}, not a tensor"
    if value.shape not in ((batch,), ()):
        return (
            f"it gives {shape_text(value)} for a batch of {batch}; one value per example, "
            f"[{batch}], or one in all, [], is wanted"
        )
    alone = trial.value(*trial.each(lambda x: x[:1]))
    if alone.shape == (1,) * value.ndim:
        return None
    return (
        f"it gives {shape_text(value)} for a batch of {batch} and {shape_text(alone)} for a batch "
        "of one; name the dimensions that you reduce or squeeze"
    )


def _unchanged(trial: LossTrial) -> str | None:
    given = trial.each(torch.clone)
    trial.value(*given)
    for place, (now, before) in enumerate(zip(given, trial.inputs, strict=True), start=1):
        if not torch.equal(now, before):
            return f"it writes into its input {place}; make a new tensor (x + 1, not x.add_(1))"
    return None


def _float32(trial: LossTrial) -> str | None:
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        low = trial.floats(lambda value, to=dtype: value.to(to))  # type: ignore[misc]
        value = trial.value(*low)
        if value.dtype != torch.float32:
            return f"it gives {value.dtype} for {dtype} inputs; begin with .float()"
        exact = trial.value(*(x.float() if x.is_floating_point() else x for x in low))
        if not torch.allclose(value, exact, rtol=1e-5, atol=1e-6):
            return f"it computes in {dtype} before it casts; begin with .float()"
    return None


def _finite(trial: LossTrial) -> str | None:
    places = {
        f"at {LARGE:g}": trial.floats(lambda x: LARGE * x.sign()),
        f"at {LARGE:g} and student == teacher": tuple(
            LARGE * x.sign() if x.is_floating_point() else x for x in trial.equal
        ),
        **{
            f"where one class is {gap:g} below the others": trial.floats(partial(_lowered, by=gap))
            for gap in DENORMAL
        },
        "at student == teacher": trial.equal,
        "at 0": trial.floats(torch.zeros_like),
        "where two examples of the student are equal": (_twice(trial.inputs[0]), *trial.inputs[1:]),
        "where two examples are equal": trial.each(_twice),
        "for a batch of one example": trial.each(lambda x: x[:1]),
    }
    for place, inputs in places.items():
        value, gradient = trial.with_gradient(*inputs)
        if not torch.isfinite(value).all():
            return f"{place} it is {_worst(value)}"
        if gradient is not None and not torch.isfinite(gradient).all():
            return f"{place} its gradient is {_worst(gradient)}"
    return None


def _lowered(value: Tensor, by: float) -> Tensor:
    """The last class of every example lowered."""
    return torch.cat([value[..., :-1], value[..., -1:] - by], -1)


def _twice(value: Tensor) -> Tensor:
    """The first example in place of the second too."""
    return torch.cat([value[:1], value[:1], value[2:]])


def _worst(value: Tensor) -> float:
    return value[~torch.isfinite(value)].flatten()[0].item()


def _at_equal(trial: LossTrial) -> str | None:
    if not (trial.zero or trial.minimal):
        return None
    if not all(value.is_floating_point() for value in trial.inputs[:2]):
        return "class indices cannot equal the student; claim nothing, or name another kind"
    there = trial.value(*trial.equal)
    if trial.zero:
        if there.abs().max() > 1e-5:
            return f"it is {there.abs().max():.4g} where student == teacher, not 0"
        lowest = trial.value(*trial.inputs).min().item()
        return f"it is negative: {lowest:.4g}" if lowest < -1e-5 else None
    made = torch.Generator().manual_seed(1)
    for size in (1e-1, 1.0, 10.0):
        student = trial.inputs[0] + size * torch.randn(trial.inputs[0].shape, generator=made)
        lower = (there - trial.value(student, *trial.equal[1:])).max().item()
        if lower > 1e-5:
            return f"it is {lower:.4g} lower beside student == teacher than there"
    return None


def _gradient(trial: LossTrial) -> str | None:
    value, gradient = trial.with_gradient(*trial.inputs)
    if gradient is None or not gradient.any():
        return "none reaches the student; look for detach(), .data, item() or no_grad()"
    if trial.detaches:
        return None
    student, rest = trial.inputs[0], trial.inputs[1:]
    largest = gradient.abs().max().item()
    slack = 1e-2 * largest + 2e-4 * value.abs().max().item()
    made = torch.Generator().manual_seed(2)
    for place in torch.randperm(student.numel(), generator=made)[:COORDINATES].tolist():
        sides = [_slope(trial, student, rest, place, step) for step in (-STEP, STEP)]
        mine = gradient.flatten()[place].item()
        # Between the one-sided slopes, and not near their mean: that also holds at a kink.
        if not min(sides) - slack <= mine <= max(sides) + slack:
            return (
                f"at coordinate {place} of the student it is {mine:.4g}, finite differences give "
                f"{sum(sides) / 2:.4g}; if part of the loss is held constant on purpose, say "
                "detaches=True"
            )
    return None


def _slope(
    trial: LossTrial, student: Tensor, rest: tuple[Tensor, ...], place: int, step: float
) -> float:
    moved = student.clone()
    moved.view(-1)[place] += step
    change = trial.value(moved, *rest).double() - trial.value(student, *rest).double()
    return change.sum().item() / step


def _remembers(trial: LossTrial) -> str | None:
    """A second step of a loss with memory; all other trials see one call of a copy."""
    if not isinstance(trial.loss, nn.Module):
        return None
    loss = trial.fresh()
    for _ in range(2):
        value = loss(trial.inputs[0].clone().requires_grad_(), *trial.inputs[1:])
        try:
            value.sum().backward()
        except RuntimeError as error:
            if "second time" not in str(error):
                raise
            return (
                "in its second step it reaches into the graph of its first; what it remembers has "
                "to be stored detached: self.memory = new.detach()"
            )
    return None


def _permutation(trial: LossTrial) -> str | None:
    if trial.ordered:
        return None
    order = torch.arange(len(trial.inputs[0])).roll(1)
    value, permuted = trial.value(*trial.inputs), trial.value(*trial.each(lambda x: x[order]))
    wanted = value[order] if value.ndim else value
    if torch.allclose(permuted, wanted, rtol=1e-4, atol=1e-5):
        return None
    return (
        f"permuted examples change it by {(permuted - wanted).abs().max():.4g}; if it depends on "
        "their order on purpose, say ordered=True"
    )


def _independent(trial: LossTrial) -> str | None:
    value = trial.value(*trial.inputs)
    if not value.ndim:
        return None

    def another(x: Tensor, row: int) -> Tensor:
        changed = x.clone()
        changed[row] = x[(row + 1) % len(x)]
        return changed

    for row in range(len(value)):
        other = trial.value(*trial.each(lambda x, at=row: another(x, at)))  # type: ignore[misc]
        gap = (other - value).abs()
        gap[row] = 0.0
        if not torch.allclose(gap, torch.zeros_like(gap), atol=1e-5 * value.abs().max().item()):
            return (
                f"a change of example {row} changes the value of example {int(gap.argmax())} by "
                f"{gap.max():.4g}; a loss that relates examples returns one value, []"
            )
    return None


def _related(trial: LossTrial) -> str | None:
    value = trial.value(*trial.inputs)
    if value.ndim or not value:
        return None
    alone = torch.stack(
        [trial.value(*trial.each(lambda x, at=row: x[at : at + 1]))  # type: ignore[misc]
         for row in range(len(trial.inputs[0]))]
    )  # fmt: skip
    for word, plain in {"mean": alone.mean(), "sum": alone.sum()}.items():
        if torch.allclose(value, plain, rtol=1e-4):
            return (
                f"it is the {word} of what its examples give alone; return these values, "
                f"[{len(alone)}]: the term takes the mean. If they are means over classes, as of "
                "F.kl_div(reduction='mean'), take sums: reduction='none' and .sum(1)"
            )
    return None


def _compiles(trial: LossTrial) -> str | None:
    torch.compiler.reset()  # or earlier checks of the same function count as its recompilations
    loss = trial.fresh()
    compiled = replace(trial, loss=torch.compile(loss, fullgraph=True, backend="eager"), options={})
    (value, gradient), (wanted, slope) = (t.with_gradient(*t.inputs) for t in (compiled, trial))
    gap = (value - wanted).abs().max().item()
    if gap > 1e-5:
        return f"compiled it differs by {gap:.4g}"
    if gradient is None or slope is None:
        return None
    gap = (gradient - slope).abs().max().item()
    return f"compiled its gradient differs by {gap:.4g}" if gap > 1e-5 else None


PROMISES: Mapping[str, Callable[[LossTrial], str | None]] = {
    "shape": _shape,
    "inputs unchanged": _unchanged,
    "float32": _float32,
    "finite": _finite,
    "at equal": _at_equal,
    "gradient": _gradient,
    "remembers": _remembers,
    "permutation": _permutation,
    "independent": _independent,
    "related": _related,
    "compiles": _compiles,
}
