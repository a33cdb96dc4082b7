"""A graph of nodes and updates: what a method composes, what is wired, run and scored."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from torch import Tensor, nn

from stillhouse.data.batches import Order
from stillhouse.engine.diagnostics import Diagnostic
from stillhouse.engine.mixed_labels import is_mixed, taking_both
from stillhouse.engine.nodes import Ema, Node, Role
from stillhouse.engine.optimisers import OptimizerFactory
from stillhouse.engine.schedules import ScheduleFactory
from stillhouse.engine.signals import LOGITS, as_names, owner, part
from stillhouse.engine.terms import OverTraining, Term
from stillhouse.errors import WiringError, nearest
from stillhouse.tasks import CLASSIFICATION, Task


@dataclass(frozen=True)
class Update:
    """One optimiser step on its terms.

    Args:
        learns: the nodes whose parameters it moves, by name; the terms' own parameters too.
        terms: what it minimises, as a weighted sum.
        name: how metrics call it when a stage has several.
        every: it is made in each step whose number is a multiple of this.
        optimizer, schedule: instead of those of the fit.
    """

    learns: str | Sequence[str]
    terms: Sequence[Term]
    name: str = "update"
    every: int = 1
    optimizer: OptimizerFactory | None = None
    schedule: ScheduleFactory | None = None

    @property
    def learners(self) -> tuple[str, ...]:
        """Names of the nodes that learn."""
        return as_names(self.learns)


@dataclass(frozen=True)
class Graph:
    """Nodes and updates; the fields and lookups of a `Stage`.

    Args:
        name: what it is called in messages and metrics.
        nodes: everything that may be read; only what the terms need is run.
        updates: those of one step, in order.
        measures: what is scored on validation, as label -> signal; the first one selects the best
            epoch. What a signal must be (logits, for classification) is the task's to say.
        keeps: the role whose weights are the product.
        products: of a measure that the kept role alone cannot give, what its inference needs: label
            -> a function that, once the stage is trained and closed, gives a plain module from
            images to those logits, which shares nothing with the nodes.
        diagnostics: what is read off after each epoch, on validation rows; no step depends on them.
        order: the order in which training rows are shown, where a method needs one of its own,
            such as pairs of one class; None: shuffled.
        notes: what was settled on the way, for people: ``{"pairs": "layer1 - layer2.1"}``.
        task: what the labels mean.
        only_scored: it is opened to be measured, so nothing needs to learn.
    """

    name: str
    nodes: Sequence[Node]
    updates: Sequence[Update]
    measures: Mapping[str, str] = field(default_factory=lambda: {"student": "student.logits"})
    keeps: str = "student"
    products: Mapping[str, Callable[[], nn.Module]] = field(default_factory=dict)
    diagnostics: Sequence[Diagnostic] = ()
    order: Order | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    task: Task = CLASSIFICATION
    only_scored: bool = False

    def node(self, name: str) -> Node:
        """The node of that name. Raises WiringError when there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        names = [node.name for node in self.nodes]
        raise WiringError(f"stage '{self.name}'", [f"no node '{name}'; {nearest(name, names)}"])

    def role(self, name: str) -> Role:
        """The role of that name. Raises WiringError when it is another kind of node."""
        node = self.node(name)
        if not isinstance(node, Role):
            raise WiringError(f"stage '{self.name}'", [f"'{name}' is not a Role but a "
                                                       f"{type(node).__name__}"])  # fmt: skip
        return node

    def replace(self, node: Node) -> Self:
        """The same with the node of that name swapped, such as a Replay for a teacher."""
        self.node(node.name)
        nodes = [node if old.name == node.name else old for old in self.nodes]
        return replace(self, nodes=nodes)

    @property
    def learners(self) -> tuple[str, ...]:
        """All nodes that any update trains."""
        return tuple(dict.fromkeys(name for update in self.updates for name in update.learners))

    @property
    def headline(self) -> str:
        """The label of the measure that selects the best epoch."""
        return next(iter(self.measures))

    @property
    def follows_training(self) -> bool:
        """Whether a weight or a moving average depends on how much of the training is done."""
        weights = any(callable(term.weight) or isinstance(term.weight, OverTraining)
                      for term in self.terms())  # fmt: skip
        followers = (node for node in self.nodes if isinstance(node, Ema))
        return weights or any(follower.follows_training for follower in followers)

    def modules(self) -> list[nn.Module]:
        """The modules of all nodes and of all terms."""
        found = [node.module for node in self.nodes] + [term.module for term in self.terms()]
        return [module for module in found if module is not None]

    def terms(self) -> Iterable[Term]:
        """All terms of all updates; the labelled ones with the loss of the task."""
        return (self._with_loss(term) for update in self.updates for term in update.terms)

    def _with_loss(self, term: Term) -> Term:
        if not term.by_task:
            return term
        return _learning(term, self.task.learnt).with_loss(self.task.loss, mixes=self.task.mixes)

    def with_terms(self, change: Callable[[Term], Term]) -> Self:
        """The same with each term changed."""
        updates = [replace(each, terms=[change(term) for term in each.terms])
                   for each in self.updates]  # fmt: skip
        return replace(self, updates=updates)

    def with_task(self, task: Task) -> Self:
        """The same for labels that mean something else.

        A task that scores embeddings scores those of the networks whose logits were measured; what
        is inferred in another way, such as by the teacher's head, has none and is not measured.

        Raises:
            WiringError: nothing is left to score.
        """
        if task is self.task:
            return self
        if not task.labelled:
            self = self._without_labels(task)
        if task.measured == LOGITS:
            return replace(self, task=task)
        measures = {
            label: f"{owner(signal)}.{task.measured}"
            for label, signal in self.measures.items()
            if part(signal) in (LOGITS, task.measured)
        }
        if self.measures and not measures:
            said = f"the task '{task.name}' scores the {task.measured} of a network, and this "
            said += f"method is judged by {', '.join(self.measures.values())}; choose another one"
            raise WiringError(f"stage '{self.name}'", [said])
        products = {label: each for label, each in self.products.items() if label in measures}
        return replace(self, task=task, measures=measures, products=products)

    def _without_labels(self, task: Task) -> Self:
        """The same without the terms whose loss is the task's, which has none."""
        kept = [(each, [term for term in each.terms if not term.by_task]) for each in self.updates]
        updates = [replace(each, terms=terms) for each, terms in kept if terms]
        if self.updates and not updates:
            said = f"the task '{task.name}' has no labels, and nothing else is learnt here"
            raise WiringError(f"stage '{self.name}'", [said])
        return replace(self, updates=updates)

    def with_labelled_terms(self, batch: Mapping[str, Tensor] | None = None) -> Self:
        """The same with the task's loss in the terms that leave it to the task.

        Where images of a batch are mixed, these take both labels of a row.
        """
        stage = self
        if any(term.by_task for update in self.updates for term in update.terms):
            stage = self.with_terms(self._with_loss)
        return stage.with_terms(taking_both) if is_mixed(batch or {}) else stage


def _learning(term: Term, learnt: str) -> Term:
    """A labelled term that reads what the task learns from in place of logits."""
    if learnt == LOGITS:
        return term
    first, *rest = term.reads
    changed = copy.copy(term)
    changed.reads = (f"{owner(first)}.{learnt}" if part(first) == LOGITS else first, *rest)
    return changed
