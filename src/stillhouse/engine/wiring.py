"""Wiring: a stage that was checked, and the plan of its steps.

Two passes: rules (declarations only), then a dry run (every needed node once). Both report all
their problems at once, with the names of signals.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from stillhouse.engine.diagnostics import reads_of
from stillhouse.engine.dry_run import dry_run
from stillhouse.engine.filling import leave_out_filling, leave_out_frames
from stillhouse.engine.graph import Graph, Update
from stillhouse.engine.nodes import Node
from stillhouse.engine.order import order_nodes, parts_of
from stillhouse.engine.rules import shared_problems, static_problems
from stillhouse.engine.signals import Signals, owner
from stillhouse.errors import WiringError


@dataclass(frozen=True)
class UpdatePlan:
    """The nodes of an update: ``outside`` run first without gradients, ``inside`` with the loss."""

    update: Update
    outside: tuple[Node, ...]
    inside: tuple[Node, ...]


@dataclass(frozen=True)
class Wiring:
    """A checked stage: plans, taps per role, and the signals of the batch it was checked on.

    ``measuring`` runs on validation, for measures and diagnostics, which add no node to an update.
    """

    stage: Graph
    updates: tuple[UpdatePlan, ...]
    measuring: tuple[Node, ...]
    parts: Mapping[str, tuple[str, ...]]
    seen: Signals

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes that are run at all."""
        planned = [node for plan in self.updates for node in (*plan.outside, *plan.inside)]
        return tuple(dict.fromkeys([*planned, *self.measuring]))


def measuring_also(wiring: Wiring, reads: Iterable[str]) -> Wiring:
    """The same wiring, whose measuring gives these signals, too; nothing is run.

    Raises:
        WiringError: the reads go in a circle.
    """
    stage, wanted = wiring.stage, tuple(reads)
    watched = [*stage.measures.values(), *reads_of(stage.diagnostics), *wanted]
    measuring = order_nodes(stage, watched)
    nodes = dict.fromkeys([*wiring.nodes, *measuring])
    return replace(wiring, measuring=measuring, parts=parts_of(stage, nodes, wanted))


def wire(stage: Graph, batch: Mapping[str, Tensor], *, seed: int = 0) -> Wiring:
    """Check a stage on a batch and plan its steps.

    Args:
        stage: what the method composed.
        batch: a few samples as ``batch.image``, ``batch.label``, ...; on the device of the nodes.
        seed: sizes and initialises bridges, so that a control with the same seed starts equally.

    Raises:
        WiringError: with all problems of the first pass, or all of the second.
    """
    stage = stage.with_labelled_terms(batch)
    leave_out_frames(stage, batch)
    where = f"stage '{stage.name}'"
    problems = static_problems(stage, batch)
    if problems:
        raise WiringError(where, problems)
    leave_out_filling(stage)
    watched = [*stage.measures.values(), *reads_of(stage.diagnostics)]
    nodes = order_nodes(stage, [*(read for term in stage.terms() for read in term.reads), *watched])
    signals = dry_run(stage, nodes, dict(batch), seed, problems)
    problems += shared_problems(stage, nodes)
    if problems:
        raise WiringError(where, problems)
    plans = tuple(_plan(stage, update) for update in stage.updates)
    measuring = order_nodes(stage, watched)
    running = {node: None for plan in plans for node in (*plan.outside, *plan.inside)}
    parts = parts_of(stage, dict.fromkeys([*running, *measuring]))
    return Wiring(stage, plans, measuring, parts, signals)


def _plan(stage: Graph, update: Update) -> UpdatePlan:
    """Split the nodes of an update into those before and those inside the composite module."""
    nodes = order_nodes(stage, [read for term in update.terms for read in term.reads])
    inside: dict[str, Node] = {}
    for node in nodes:
        if node.name in update.learners or any(owner(need) in inside for need in node.needs):
            inside[node.name] = node
    outside = tuple(node for node in nodes if node.name not in inside)
    return UpdatePlan(update, outside, tuple(inside.values()))
