"""Whether every term teaches: a look ahead, in train mode and with gradients, at a real batch.

The dry run sees shapes, in eval mode and without gradients. What it cannot see are terms from which
no gradient comes to those who are to learn, and what fails in train mode only.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from stillhouse.engine.composite import outside_inference
from stillhouse.engine.failures import training_problem
from stillhouse.engine.graph import Graph
from stillhouse.engine.nodes import Bridge, Node, Role
from stillhouse.engine.order import nodes_behind
from stillhouse.engine.reach import passes_reentrant, reaches
from stillhouse.engine.seeding import seeded
from stillhouse.engine.signals import Signals, owner
from stillhouse.engine.terms import Term
from stillhouse.engine.untouched import untouched
from stillhouse.engine.update_objective import UpdateObjective, weight_at
from stillhouse.errors import WiringError

MOMENTS = 100
"""At so many shares of the training a weight is looked at: one that is 0 at all never teaches."""


@dataclass(frozen=True)
class Practice:
    """Batches as the training will show them.

    Args:
        batch: of the real size; of this process.
        others: more of them, read only where the first leaves a doubt: a loss may have nothing to
            compare in one batch, such as pairs of one class.
        last: rows of the last batch of an epoch, where it is shorter.
    """

    batch: Signals
    others: Iterable[Signals] = field(default=())
    last: int | None = None


def check_teaching(
    stage: Graph,
    updates: Sequence[UpdateObjective],
    learnt: Set[int],
    practice: Practice,
    *,
    epochs: float,
    seed: int,
) -> None:
    """Run each update once, as training would, and leave no trace of it in any bit.

    Args:
        stage: which is open, its learners in train mode.
        updates: of the stage.
        learnt: ids of the parameters that learn.
        practice: what they run on.
        epochs: of the whole training, for weights that follow epochs.
        seed: of what is drawn meanwhile.

    Raises:
        WiringError: with all terms that reach nobody whom they are to teach, or what fails.
    """
    modules: dict[nn.Module, None] = {}
    for update in updates:
        modules |= dict.fromkeys([*update.trained, *_inside(update)])
    with seeded(seed, "teaching"), untouched(modules), torch.enable_grad():
        problems = _problems(stage, updates, learnt, practice.batch, epochs)
        for batch in practice.others if problems else ():
            problems = _problems(stage, updates, learnt, batch, epochs) and problems
            if not problems:
                break
        if practice.last is not None and not problems:
            last = {n: v[: practice.last] if v.ndim else v for n, v in practice.batch.items()}
            problems = _failures(updates, last)
    if problems:
        raise WiringError(f"stage '{stage.name}'", problems)


def _inside(update: UpdateObjective) -> list[nn.Module]:
    return [node.module for node in update.plan.inside if node.module is not None]


def _problems(
    stage: Graph,
    updates: Sequence[UpdateObjective],
    learnt: Set[int],
    batch: Signals,
    epochs: float,
) -> list[str]:
    problems: list[str] = []
    for update in updates:
        values, signals = _run(update, batch, problems)
        for term, value in zip(update.plan.update.terms, values, strict=False):
            if _ever_weighs(term, epochs):
                found = _term_problem(stage, update, term, value, signals, learnt)
                problems += [found] if found else []
    return problems


def _failures(updates: Sequence[UpdateObjective], batch: Signals) -> list[str]:
    problems: list[str] = []
    for update in updates:
        values, _ = _run(update, batch, problems)
        rows = min((len(v) for v in batch.values() if v.ndim), default=0)
        problems += [
            f"term '{term.name}' is {value.item()} on the last batch of an epoch, of {rows} "
            f"row{'s' if rows > 1 else ''}; leave it out (DataLoader(..., drop_last=True)) or take "
            "another batch size"
            for term, value in zip(update.plan.update.terms, values, strict=False)
            if not torch.isfinite(value)
        ]
    return problems


def _run(
    update: UpdateObjective, batch: Signals, problems: list[str]
) -> tuple[list[Tensor], Signals]:
    """The terms of a batch; nothing, and a problem more, where it fails."""
    for node in update.plan.inside:
        if isinstance(node, Role):
            node.watch()  # a dropout that works in place does so in train mode only
    try:
        update.prepare()
        return update.composite.each(outside_inference(update.observe(batch)))
    except Exception as error:
        problem = training_problem(error, batch)
        if problem is None:
            raise
        problems.append(problem)
        return [], {}


def _ever_weighs(term: Term, epochs: float) -> bool:
    shares = (
        range(MOMENTS + 1)
        if callable(term.weight) or not isinstance(term.weight, float | int)
        else (0,)
    )
    return any(weight_at(term, share / MOMENTS, epochs) != 0.0 for share in shares)


def _term_problem(
    stage: Graph,
    update: UpdateObjective,
    term: Term,
    value: Tensor,
    signals: Mapping[str, Tensor],
    learnt: Set[int],
) -> str | None:
    """Why a term does not reach those whom it is to teach; None: it does.

    It is to teach the networks behind the signals that learn. Where there is none, it teaches the
    bridges there, or itself.
    """
    names = set(update.plan.update.learners)
    reads = term.reads if term.through else term.reads[:1]
    behind = [node for node in nodes_behind(stage, reads) if node.name in names]
    roles = [node for node in behind if isinstance(node, Role)]
    wanted = [p for node in roles or behind for p in _parameters(node.module, learnt)]
    if not roles:
        wanted += _parameters(term.module, learnt)
    if not wanted:
        return None
    if reaches(value, wanted):
        return _flat_problem(term, value, signals) if roles else None
    pupil = (roles or behind or [None])[0]
    who = f"the parameters of term '{term.name}'" if pupil is None else _called(pupil)
    why = (
        "its loss lets none through" if pupil is None else _why(stage, term, pupil, signals, learnt)
    )
    return f"no gradient of term '{term.name}' reaches {who}: {why}"


def _flat_problem(term: Term, value: Tensor, signals: Mapping[str, Tensor]) -> str | None:
    """Why a term that is linked to its pupil moves it nowhere; None: it does, or it is met.

    A loss of 0 has nothing to teach yet, and neither has one of two signals that are the same bits,
    or of a signal that is one number, as the logits of a head that begins at 0.
    """
    heard = {n: signals[n] for n in term.reads if n in signals and signals[n].requires_grad}
    first, *others = (signals[name] for name in term.reads if name in signals)
    met = value.item() == 0.0 or any(
        other.dtype == first.dtype and torch.equal(first, other) for other in others
    )
    met = met or any(bool((signal == signal.flatten()[0]).all()) for signal in heard.values())
    if not heard or met:
        return None
    try:
        slopes = torch.autograd.grad(
            value, list(heard.values()), retain_graph=True, allow_unused=True
        )
    except RuntimeError:  # what was computed in a way that has no such gradient
        return None
    if any(slope is not None and bool((slope != 0).any()) for slope in slopes):
        return None
    return (
        f"no gradient of term '{term.name}' reaches anybody: its loss is {value.item():.4g} and "
        f"flat at every value of {_listed(list(heard))} (round, sign, a clamp beyond its bound, a "
        "factor of 0); take that away, or set the term's weight to 0"
    )


def _parameters(module: nn.Module | None, learnt: Set[int]) -> list[nn.Parameter]:
    return [p for p in module.parameters() if id(p) in learnt] if module is not None else []


def _called(node: Node) -> str:
    return f"the {node.title}" if node.title in ("student", "teacher") else f"'{node.title}'"


def _why(
    stage: Graph, term: Term, pupil: Node, signals: Mapping[str, Tensor], learnt: Set[int]
) -> str:
    """The likely reason, and what to do."""
    chain = nodes_behind(stage, term.reads)
    read = [
        *term.reads,
        *(read for node in chain if isinstance(node, Bridge) for read in node.reads),
    ]
    heard = [name for name in dict.fromkeys(read) if owner(name) == pupil.name and name in signals]
    silent = [name for name in heard if not signals[name].requires_grad]
    own = _parameters(pupil.module, learnt)
    if not silent and any(reaches(signals[name].float().sum(), own) for name in heard):
        return (
            f"{_listed(heard)} has one, but a bridge or the loss on the way lets none through (a "
            ".detach(), no_grad, argmax); take that away, or set the term's weight to 0. What only "
            "trains a bridge belongs to an update of its own"
        )
    if not silent:
        return (
            f"all parameters before {_listed(heard)} are frozen; read a later layer, or leave a "
            "part before it free"
        )
    others = [v for name, v in signals.items() if owner(name) == pupil.name and v.requires_grad]
    if any(passes_reentrant(value) for value in others):
        return (
            f"{_listed(silent)} lies inside torch.utils.checkpoint with use_reentrant=True, which "
            "computes it without gradients; set use_reentrant=False, or read a layer around it"
        )
    return (
        f"{_listed(silent)} comes out of its network without one: the forward detaches it, or "
        "computes it under no_grad or inside torch.utils.checkpoint with use_reentrant=True (set "
        "it to False), or it lies before all that learns; take that away, or read a later layer"
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(f"'{name}'" for name in names)
