"""Stage and Update: who plays, who learns from which terms, what is measured and kept."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import nn

from stillhouse.data.batches import Batches, Order
from stillhouse.engine.diagnostics import Diagnostic
from stillhouse.engine.nodes import Ema, Node, Role
from stillhouse.engine.optimisers import OptimizerFactory, ScheduleFactory
from stillhouse.engine.signals import as_names
from stillhouse.engine.terms import Term
from stillhouse.errors import WiringError, nearest


@dataclass(frozen=True)
class Update:
    """One optimiser update.

    Args:
        learns: the nodes whose parameters it moves, by name; the terms' own parameters too.
        terms: what it minimises, as a weighted sum.
        name: how metrics call it when a stage has several.
        every: it plays in each step whose number is a multiple of this.
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
class Stage:
    """Nodes and updates: what a method composes. Data and budget come with `fit`.

    Args:
        name: what it is called in messages and metrics.
        nodes: everything that may be read; only what the terms need is run.
        updates: the updates of one step, in order.
        measures: what is scored on validation, as label -> signal; the first one selects the best
            epoch. Each is a signal of logits (or of log-probabilities, which are logits too).
        keeps: the role whose weights are the product.
        products: of a measure that the kept role alone cannot give, what its inference needs: label
            -> a function that, once the stage is trained and closed, gives a plain module from
            images to those logits, which shares nothing with the nodes.
        diagnostics: what is read off after each epoch, on validation rows; no step depends on them.
        order: the order in which training rows are shown, where a method needs one of its own,
            such as pairs of one class; None: shuffled.
        complete: what is left to compose once the training data are known (which layers pair up, a
            memory of as many rows): takes the stage as it is then, gives the whole one, or one that
            is to be completed further.
        notes: what was settled on the way, for people: ``{"pairs": "layer1 - layer2.1"}``.
    """

    name: str
    nodes: Sequence[Node]
    updates: Sequence[Update]
    measures: Mapping[str, str] = field(default_factory=lambda: {"student": "student.logits"})
    keeps: str = "student"
    products: Mapping[str, Callable[[], nn.Module]] = field(default_factory=dict)
    diagnostics: Sequence[Diagnostic] = ()
    order: Order | None = None
    complete: "Callable[[Stage, Batches], Stage] | None" = None
    notes: Mapping[str, str] = field(default_factory=dict)

    def completed(self, train: Batches) -> "Stage":
        """The whole stage, on these training data; itself when nothing is left to compose."""
        stage = self
        while stage.complete is not None:
            stage = stage.complete(replace(stage, complete=None), train)
        return stage

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

    def replace(self, node: Node) -> "Stage":
        """The same stage with the node of that name swapped, such as a Replay for a teacher."""
        self.node(node.name)
        nodes = [node if old.name == node.name else old for old in self.nodes]
        return replace(self, nodes=nodes)

    def freeze(self, name: str, paths: Iterable[str]) -> "Stage":
        """The same stage with a role some of whose submodules keep their bits.

        >>> stage = Stage("s", [Role("student", nn.Sequential(nn.Linear(2, 2)))], [])
        >>> stage.freeze("student", ["0"]).role("student").frozen
        ('0',)
        """
        role = copy.copy(self.role(name))
        role.frozen = (*role.frozen, *paths)
        return self.replace(role)

    def headed(self, name: str, path: str | None) -> "Stage":
        """The same stage with a role whose classifier is the module at this path; None: as it is.

        >>> two = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        >>> stage = Stage("s", [Role("student", two)], [])
        >>> stage.headed("student", "0").role("student").head
        '0'
        """
        if path is None:
            return self
        role = copy.copy(self.role(name))
        role._head = path
        return self.replace(role)

    def through(self, name: str, bridge: Node) -> "Stage":
        """The same stage with a role that reads a bridge, such as its own form of the image.

        Whoever follows the role (an Ema) reads the bridge, too.
        """
        module = self.role(name).module

        def read(node: Node) -> Node:
            if node.name != name and not (isinstance(node, Ema) and node.of.module is module):
                return node
            changed = copy.copy(node)
            changed.reads = (bridge.name,)
            return changed

        return replace(self, nodes=[*(read(node) for node in self.nodes), bridge])

    @property
    def learners(self) -> tuple[str, ...]:
        """All nodes that any update trains."""
        return tuple(dict.fromkeys(name for update in self.updates for name in update.learners))

    def terms(self) -> Iterable[Term]:
        """All terms of all updates."""
        return (term for update in self.updates for term in update.terms)
