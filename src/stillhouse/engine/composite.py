"""The composite module of an update: learners, bridges and the terms' own parameters, terms out.

This is what gets compiled, and what `UpdateObjective` wraps. Nodes that run inside without learning
(a frozen head behind the student) are reached through the plan and never registered, so that
nothing of the teacher is wrapped, moved or saved.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from stillhouse.engine.layout import breaks_channels_last
from stillhouse.engine.nodes import Node, Role
from stillhouse.engine.signals import Signals
from stillhouse.engine.terms import Term
from stillhouse.engine.wiring import UpdatePlan
from stillhouse.functional.numerics import full, in_autocast, without_autocast

CPU = torch.device("cpu")


class Composite(nn.Module):
    """Signals in, one scalar per term out, and all signals.

    Shapes:
        forward: a mapping of signals -> [terms], unweighted means over the batch, float32; and the
            signals with those of the nodes inside (none where `gives_signals` is off: what a
            compiled graph returns cannot be fused away).
    """

    def __init__(self, plan: UpdatePlan, autocast: torch.dtype | None = None) -> None:
        super().__init__()
        self.gives_signals = True
        self._autocast = autocast
        learners = set(plan.update.learners)
        self.learners = nn.ModuleDict(
            {n.name: n.module for n in plan.inside if n.name in learners and n.module is not None}
        )
        self.losses = nn.ModuleDict(
            {term.name: term.module for term in plan.update.terms if term.module is not None}
        )
        self._narrow = breaks_channels_last(self.learners, CPU)
        self._inside = plan.inside
        self._terms = tuple(plan.update.terms)
        masks = [term.mask for term in self._terms if term.mask is not None]
        reads = [read for term in self._terms for read in term.reads]
        self._reads = tuple(dict.fromkeys([*reads, *masks]))
        apart = any(isinstance(node, Role) and node.apart for node in plan.inside)
        self.of_one_form = not masks and not apart
        """Whether each step has the same form, so that it can be compiled as one graph."""

    def forward(self, signals: Signals) -> tuple[Tensor, Signals]:
        """Run the nodes inside and give the terms."""
        values, known = self.each(signals)
        return torch.stack(values), known if self.gives_signals else {}

    def each(self, signals: Signals) -> tuple[list[Tensor], Signals]:
        """Run the nodes inside; gives the terms one by one, and all signals."""
        known = dict(signals)
        device = next(iter(known.values())).device
        if self._narrow and device.type == CPU.type:
            known = {name: value.contiguous() for name, value in known.items()}
        if self._autocast is not None:
            with torch.autocast(device.type, self._autocast):
                self._run(known)
        else:
            self._run(known)
        if self._autocast is None and not in_autocast(device):
            return self._values(known), known
        # Half precision ends where the terms begin: a product inside a loss needs all digits.
        with without_autocast(device):
            return self._values({name: full(known[name]) for name in self._reads}), known

    def _run(self, known: Signals) -> None:
        for node in self._inside:
            known.update(node.step(known))

    def _values(self, known: Signals) -> list[Tensor]:
        values = []
        for term in self._terms:
            values.append(term.value(known).float())  # in a loop: `running_in` looks here
        return values


def running_in(error: BaseException) -> Node | Term | None:
    """The node or term that was running when an error came out of a composite; None: neither.

    Read off the traceback, so that nothing is added to what is compiled and runs in each step.
    """
    found: Node | Term | None = None
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code is Composite._run.__code__:
            found = step.tb_frame.f_locals.get("node", found)
        elif step.tb_frame.f_code is Composite._values.__code__:
            found = step.tb_frame.f_locals.get("term", found)
        step = step.tb_next
    return found


def run_outside(nodes: Iterable[Node], signals: Signals, *, step: bool = False) -> Signals:
    """Run frozen nodes without autograd; gives the signals with theirs added.

    ``step``: for a training step alone, see `Node.step`.
    """
    known = dict(signals)
    with torch.no_grad():
        for node in nodes:
            found = node.step(known) if step else node.run(known)
            known.update(outside_inference(found))
    return known


def outside_inference(signals: Signals) -> Signals:
    """The same signals, such that autograd may save them: a network may be in inference mode."""
    if torch.compiler.is_compiling() or torch.is_inference_mode_enabled():
        return signals
    return {name: v.clone() if v.is_inference() else v for name, v in signals.items()}
