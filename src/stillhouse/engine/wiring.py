"""Wiring: which nodes a stage runs, in which order, and everything that is wrong with it.

Two passes. The first reads declarations only. The second runs every needed node once on a small
batch, without gradients and in eval mode: it sizes bridges, learns shapes, and finds what only a
run can tell. Both report all their problems at once, with the names of signals.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stillhouse.engine.flags import Flags
from stillhouse.engine.nodes import Bridge, Ema, Node, Role
from stillhouse.engine.seeding import seeded
from stillhouse.engine.signals import BATCH, EMBEDDING, LOGITS, Signals, owner, part, shape_text
from stillhouse.engine.stage import Stage, Turn
from stillhouse.engine.terms import Term
from stillhouse.errors import StillhouseError, WiringError, nearest

BATCH_PARTS = ("image", "label", "index", "view")


@dataclass(frozen=True)
class TurnPlan:
    """The nodes of one turn: ``outside`` run first without gradients, ``inside`` with the loss."""

    turn: Turn
    outside: tuple[Node, ...]
    inside: tuple[Node, ...]


@dataclass(frozen=True)
class Wiring:
    """A checked stage: plans, taps per role, and the signals of the batch it was checked on."""

    stage: Stage
    turns: tuple[TurnPlan, ...]
    measuring: tuple[Node, ...]
    parts: Mapping[str, tuple[str, ...]]
    seen: Signals

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes that are run at all."""
        planned = [node for plan in self.turns for node in (*plan.outside, *plan.inside)]
        return tuple(dict.fromkeys([*planned, *self.measuring]))


def order_nodes(stage: Stage, wanted: Iterable[str]) -> tuple[Node, ...]:
    """The nodes behind these signals, each after those that it needs.

    Raises:
        WiringError: the reads go in a circle.
    """
    by_name = {node.name: node for node in stage.nodes}
    ordered: dict[str, Node] = {}

    def visit(signal: str, path: tuple[str, ...]) -> None:
        name = owner(signal)
        if name == BATCH or name in ordered:
            return
        if name in path:
            circle = " -> ".join([*path[path.index(name) :], name])
            raise WiringError(f"stage '{stage.name}'", [f"nodes read each other: {circle}"])
        for need in by_name[name].needs:
            visit(need, (*path, name))
        ordered[name] = by_name[name]

    for signal in wanted:
        visit(signal, ())
    return tuple(ordered.values())


def _signal_problem(stage: Stage, signal: str, asker: str) -> str | None:
    name = owner(signal)
    if name == BATCH:
        if part(signal) in BATCH_PARTS:
            return None
        known = [f"{BATCH}.{column}" for column in BATCH_PARTS]
        return f"{asker} reads '{signal}'; {nearest(signal, known)}"
    names = [node.name for node in stage.nodes]
    if name not in names:
        return f"{asker} reads '{signal}', but there is no node '{name}'; {nearest(name, names)}"
    try:
        problem = stage.node(name).problem(part(signal))
    except StillhouseError as error:
        problem = str(error)
    return f"{asker} reads '{signal}': {problem}" if problem else None


def _reads(stage: Stage) -> list[tuple[str, str]]:
    """Every read of the stage, with who asks."""
    found = [(f"node '{node.name}'", need) for node in stage.nodes for need in node.needs]
    found += [(f"term '{term.name}'", read) for term in stage.terms() for read in term.reads]
    found += [(f"measure '{label}'", read) for label, read in stage.measures.items()]
    return found


def _twice(names: Sequence[str], what: str) -> list[str]:
    again = sorted({name for name in names if names.count(name) > 1})
    return [f"two {what} are called '{name}'" for name in again]


def _learner_problems(stage: Stage) -> list[str]:
    problems = []
    names = [node.name for node in stage.nodes]
    for turn in stage.turns:
        for name in turn.learners:
            if name not in names:
                problems.append(f"{turn.name} trains '{name}', which is no node; "
                                f"{nearest(name, names)}")  # fmt: skip
            elif isinstance(stage.node(name), Ema) or not isinstance(
                stage.node(name), Role | Bridge
            ):
                kind = type(stage.node(name)).__name__
                problems.append(f"{turn.name} trains '{name}', but a {kind} never learns")
    if stage.keeps not in names:
        problems.append(f"keeps '{stage.keeps}', which is no node; {nearest(stage.keeps, names)}")
    return problems


def _use_problems(stage: Stage, turn: Turn) -> list[str]:
    """Learners that no term reaches, and terms that teach nobody."""
    problems = []
    learners = set(turn.learners)
    reached: set[str] = set()
    for term in turn.terms:
        taught = order_nodes(stage, term.reads if term.through else term.reads[:1])
        names = {node.name for node in taught} & learners
        has_own = term.module is not None and any(True for _ in term.module.parameters())
        if not names and not has_own:
            problems.append(
                f"term '{term.name}' teaches nobody: '{term.reads[0]}' depends on none of "
                f"{', '.join(turn.learners)} (the first signal learns, the rest are targets)"
            )
        reached |= names
    for name in turn.learners:
        if name not in reached:
            problems.append(f"{turn.name} trains '{name}', but no term of it depends on '{name}'")
    return problems


def static_problems(stage: Stage) -> list[str]:
    """All that is wrong with the declarations."""
    problems = _twice([node.name for node in stage.nodes], "nodes")
    problems += _twice([term.name for term in stage.terms()], "terms")
    problems += _learner_problems(stage)
    problems += [f"term '{term.name}' reads no signal" for term in stage.terms() if not term.reads]
    asked = [_signal_problem(stage, signal, asker) for asker, signal in _reads(stage)]
    problems += [problem for problem in asked if problem]
    if problems:
        return problems
    try:
        return [problem for turn in stage.turns for problem in _use_problems(stage, turn)]
    except WiringError as error:
        return list(error.problems)


def _parts(stage: Stage, nodes: Iterable[Node]) -> dict[str, tuple[str, ...]]:
    """Which parts of each node anyone among these nodes, the terms and the measures reads."""
    running = list(nodes)
    signals = [need for node in running for need in node.needs]
    signals += [read for term in stage.terms() for read in term.reads]
    signals += list(stage.measures.values())
    parts: dict[str, dict[str, None]] = {node.name: {} for node in running}
    for signal in signals:
        if owner(signal) in parts:
            parts[owner(signal)][part(signal)] = None
    return {name: tuple(found) for name, found in parts.items()}


def _said(error: Exception) -> str:
    """The last line that tells something of somebody else's error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _run_node(node: Node, signals: Signals, seed: int) -> str | None:
    """Run one node into ``signals``; gives the problem, if any."""
    missing = [need for need in node.needs if need not in signals]
    if missing:
        given = ", ".join(name for name in signals if owner(name) == owner(missing[0]))
        return (
            f"node '{node.name}' reads '{missing[0]}', which nothing gives (there is: {given})"
            if given
            else None  # its source failed and was reported
        )
    try:
        if isinstance(node, Bridge):
            with seeded(seed, "init", node.name):
                node.build(signals)
        signals.update(node.run(signals))
    except WiringError as error:
        return "; ".join(error.problems)
    except StillhouseError as error:
        return str(error)
    except Exception as error:
        shapes = ", ".join(f"{need} {shape_text(signals[need])}" for need in node.needs)
        return f"node '{node.name}' fails on {shapes}: {_said(error)}"
    return None


def _head_problem(node: Node, signals: Mapping[str, Tensor]) -> str | None:
    """An embedding is the input of the head: the head must give the logits from it."""
    embedding, logits = f"{node.name}.{EMBEDDING}", f"{node.name}.{LOGITS}"
    if not isinstance(node, Role) or embedding not in signals or EMBEDDING in node.aliases:
        return None
    if logits not in signals or torch.allclose(
        node.head_module()(signals[embedding]).float(), signals[logits].float(), atol=1e-4, rtol=1e-3
    ):
        return None
    return (
        f"'{node.name}.{node.head}' is the last Linear, but its output is not the logits; "
        "name the head (head: PATH)"
    )


def _term_problem(term: Term, signals: Mapping[str, Tensor]) -> str | None:
    missing = [read for read in term.reads if read not in signals]
    if missing:
        given = [name for name in signals if owner(name) == owner(missing[0])]
        return f"term '{term.name}' reads '{missing[0]}'; {nearest(missing[0], given)}" if given else None
    try:
        value = term.value(signals)
    except Exception as error:
        shapes = ", ".join(f"{read} {shape_text(signals[read])}" for read in term.reads)
        return f"term '{term.name}' does not fit {shapes}: {_said(error)}"
    if not torch.isfinite(value):
        return f"term '{term.name}' is {value.item()} on the first batch"
    return None


def _shared_problems(stage: Stage, nodes: Iterable[Node]) -> list[str]:
    """A parameter cannot be frozen and learn at once."""
    learners = set(stage.learners)
    owners: dict[nn.Parameter, str] = {}
    for node in nodes:
        if node.name in learners and node.module is not None:
            owners.update({p: node.name for p in node.module.parameters() if p.requires_grad})
    problems = []
    for node in nodes:
        if node.name in learners or node.module is None:
            continue
        shared = {owners[p] for p in node.module.parameters() if p in owners}
        problems += [
            f"'{node.name}' is frozen but shares parameters with '{name}', which learns; copy the "
            "module or let both learn"
            for name in sorted(shared)
        ]
    return problems


def wire(stage: Stage, batch: Mapping[str, Tensor], *, seed: int = 0) -> Wiring:
    """Check a stage on a batch and plan its steps.

    Args:
        stage: what the method composed.
        batch: a few samples as ``batch.image``, ``batch.label``, ...; on the device of the nodes.
        seed: sizes and initialises bridges, so that a control with the same seed starts equally.

    Raises:
        WiringError: with all problems of the first pass, or all of the second.
    """
    where = f"stage '{stage.name}'"
    problems = static_problems(stage)
    if problems:
        raise WiringError(where, problems)
    wanted = [read for term in stage.terms() for read in term.reads] + list(stage.measures.values())
    nodes = order_nodes(stage, wanted)
    signals = _probe(stage, nodes, dict(batch), seed, problems)
    problems += _shared_problems(stage, nodes)
    if problems:
        raise WiringError(where, problems)
    plans = tuple(_plan(stage, turn) for turn in stage.turns)
    measuring = order_nodes(stage, stage.measures.values())
    running = {node: None for plan in plans for node in (*plan.outside, *plan.inside)}
    parts = _parts(stage, dict.fromkeys([*running, *measuring]))
    return Wiring(stage, plans, measuring, parts, signals)


def _probe(
    stage: Stage, nodes: Sequence[Node], signals: Signals, seed: int, problems: list[str]
) -> Signals:
    """Run all nodes and terms once; adds to ``problems``, leaves no flag or hook behind."""
    losses = [term.module for term in stage.terms() if term.module is not None]
    flags = Flags([*losses, *(node.module for node in nodes if node.module is not None)])
    parts = _parts(stage, nodes)
    try:
        with torch.no_grad():
            for node in nodes:
                if node.module is not None:
                    node.module.eval()
                node.open(parts[node.name])
                found = _run_node(node, signals, seed) or _head_problem(node, signals)
                problems += [found] if found else []
            for loss in losses:
                loss.eval()  # a memory bank fills in training mode only
            for term in stage.terms():
                found = _term_problem(term, signals)
                problems += [found] if found else []
    finally:
        for node in nodes:
            node.close()
        flags.restore()
    return signals


def _plan(stage: Stage, turn: Turn) -> TurnPlan:
    """Split the nodes of a turn into those before and those inside the composite module."""
    nodes = order_nodes(stage, [read for term in turn.terms for read in term.reads])
    inside: dict[str, Node] = {}
    for node in nodes:
        if node.name in turn.learners or any(owner(need) in inside for need in node.needs):
            inside[node.name] = node
    outside = tuple(node for node in nodes if node.name not in inside)
    return TurnPlan(turn, outside, tuple(inside.values()))
