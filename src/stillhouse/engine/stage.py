"""Stage: what a method gives. It is completed, changed, and opened to be an objective."""

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches

import torch
from torch import Tensor, nn
from torch.utils.data import Sampler

from stillhouse.data.orders import OrderSampler
from stillhouse.engine.diagnostics import reads_of
from stillhouse.engine.facts import Facts, batch_signals, facts_given
from stillhouse.engine.graph import Graph, Update
from stillhouse.engine.nodes import Ema, Node, Role
from stillhouse.engine.objective import Objective
from stillhouse.engine.signals import BATCH, IMAGE
from stillhouse.errors import WiringError
from stillhouse.tasks import Task, find_task

__all__ = ["Stage", "Update"]


@dataclass(frozen=True)
class Stage(Graph):
    """Nodes and updates: what a method composes. Data and budget come with `fit`, or your loop.

    Args:
        name, nodes, updates, measures, keeps, products, diagnostics, order, notes, task: as of
            `stillhouse.engine.graph.Graph`.
        complete: what is left to compose once something is known of the training data (which
            layers pair up, a memory of as many rows): takes the stage as it is then and the
            `Facts`, gives the whole one, or one that is to be completed further.
    """

    complete: "Callable[[Stage, Facts], Stage] | None" = None

    def completed(self, facts: Facts) -> "Stage":
        """The whole stage, on these training data; itself when nothing is left to compose."""
        stage = self
        while stage.complete is not None:
            stage = stage.complete(replace(stage, complete=None), facts)
        return stage

    def open(
        self,
        images: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        index: Tensor | None = None,
        rows: int | Tensor | None = None,
        epochs: float | None = None,
        seed: int = 0,
        task: Task | str | None = None,
        autocast: torch.dtype | None = None,
        **signals: Tensor,
    ) -> Objective:
        """The stage as a module that gives its loss: wired, checked, bridges sized.

        Args:
            images, labels: of one training batch, where the networks are; ``batch.image`` and
                ``batch.label``.
            index: the row of each image in the training table; methods that remember rows ask.
            rows: how many training rows there are, or their labels [rows]; the same methods ask.
            epochs: of the whole training, for weights that follow epochs, and not its share.
            seed: sizes and initialises bridges, so that a control with the same seed starts
                equally.
            task: what the labels mean, instead of the stage's own task; also by name.
            autocast: run the networks under autocast in this dtype; losses compute in float32. An
                autocast around the call does the same.
            signals: what else a batch holds, by name.

        Raises:
            RecipeError: there is no task of that name.
            WiringError: an argument is misspelt, or it does not fit together; with all problems at
                once, before anything was changed.

        >>> from torch import nn
        >>> from stillhouse.methods import kd
        >>> student, teacher = nn.Linear(4, 2), nn.Linear(4, 2)
        >>> images, labels = torch.randn(8, 4), torch.tensor([0, 1] * 4)
        >>> with kd(student, teacher, temperature=4.0).open(images, labels) as objective:
        ...     out = objective(images, labels)
        ...     sorted(out.terms), len(list(objective.parameters()))
        (['kd', 'label'], 2)
        """
        self._check_names(signals)
        batch = batch_signals(images, labels, {"index": index, **signals})
        if not batch:
            raise WiringError(f"stage '{self.name}'", ["give a batch: open(images, labels)"])
        if task is not None:
            task = task if isinstance(task, Task) else find_task(str(task))
        known = {id(module) for module in self.modules()}
        stage = self.completed(facts_given(batch, rows, seed=seed))
        stage = stage if task is None else stage.with_task(task)
        device = next(iter(batch.values())).device
        for module in stage.modules():
            if id(module) not in known:  # made just now, such as a memory of rows
                module.to(device)
        return Objective(stage, batch, seed=seed, epochs=epochs, autocast=autocast)

    def _check_names(self, signals: Iterable[str]) -> None:
        """Refuse a signal that nothing reads and that is nearly called like an argument of open."""
        asked = {signal for node in self.nodes for signal in node.needs}
        asked |= {signal for term in self.terms() for signal in term.reads}
        asked |= {*self.measures.values(), *reads_of(self.diagnostics)}
        known = [name for name in inspect.signature(self.open).parameters if name != "signals"]
        for name in signals:
            meant = get_close_matches(name, known, n=1, cutoff=0.8)
            if meant and f"{BATCH}.{name}" not in asked:
                said = f"open has no argument '{name}' and nothing reads such a signal"
                raise WiringError(f"stage '{self.name}'", [f"{said}; nearest: {meant[0]}"])

    def sampler(self, labels: Tensor, *, seed: int = 0) -> Sampler[int] | None:
        """The order in which this method wants rows, as a sampler of a DataLoader; None: any.

        Call its ``set_epoch(epoch)`` before each epoch, as of a ``DistributedSampler``.

        Args:
            labels: of all training rows, int64 [rows].
            seed: of the training.

        >>> from torch import nn
        >>> from stillhouse.methods import cs_kd, kd
        >>> len(cs_kd(nn.Linear(4, 2)).sampler(torch.tensor([0, 1, 0, 1])))
        4
        >>> kd(nn.Linear(4, 2), nn.Linear(4, 2)).sampler(torch.tensor([0, 1])) is None
        True
        """
        return None if self.order is None else OrderSampler(self.order, labels, seed=seed)

    def freeze(self, name: str, paths: Iterable[str]) -> "Stage":
        """The same stage with a role some of whose submodules keep their bits.

        >>> from torch import nn
        >>> from stillhouse.engine.nodes import Role
        >>> stage = Stage("s", [Role("student", nn.Sequential(nn.Linear(2, 2)))], [])
        >>> stage.freeze("student", ["0"]).role("student").frozen
        ('0',)
        """
        role = copy.copy(self.role(name))
        role.frozen = (*role.frozen, *paths)
        return self.replace(role)

    def slowed(self, name: str, parameters: Iterable[nn.Parameter], scale: float) -> "Stage":
        """The same stage with a role some of whose parameters learn at a share of the rate.

        >>> from stillhouse.engine.nodes import Role
        >>> body, head = nn.Linear(2, 2), nn.Linear(2, 2)
        >>> stage = Stage("s", [Role("student", nn.Sequential(body, head))], [])
        >>> slowed = stage.slowed("student", body.parameters(), 0.1)
        >>> slowed.role("student").lr_scales[body.weight]
        0.1
        """
        role = copy.copy(self.role(name))
        role.lr_scales = {**role.lr_scales, **dict.fromkeys(parameters, scale)}
        return self.replace(role)

    def known_as(self, name: str, title: str) -> "Stage":
        """The same stage with a role that messages call by what the user knows it as.

        >>> from stillhouse.engine.nodes import Role
        >>> from torch import nn
        >>> stage = Stage("s", [Role("student", nn.Linear(2, 2))], [])
        >>> stage.known_as("student", "teacher").role("student").title
        'teacher'
        """
        role = copy.copy(self.role(name))
        role.known_as = title
        return self.replace(role)

    def headed(self, name: str, path: str | None) -> "Stage":
        """The same stage with a role whose classifier is the module at this path; None: as it is.

        >>> from torch import nn
        >>> from stillhouse.engine.nodes import Role
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

    def with_output(self, name: str, output: str | int | None) -> "Stage":
        """The same stage with a role whose logits are one of several outputs; None: as it is.

        Other roles of the same network, and whoever follows it (an Ema), have it, too.

        Args:
            name: of the role.
            output: a name or a position, as `stillhouse.models.outputs.all_outputs` gives them.

        >>> from torch import nn
        >>> from stillhouse.engine.nodes import Role
        >>> stage = Stage("s", [Role("student", nn.Linear(2, 2))], [])
        >>> stage.with_output("student", 1).role("student").output
        1
        """
        if output is None:
            return self
        module = self.role(name).module

        def named(node: Node) -> Node:
            follows = isinstance(node, Ema) and node.of.module is module
            if not isinstance(node, Role) or not (follows or node.module is module):
                return node
            changed = copy.copy(node)
            changed.output = output
            return changed

        return replace(self, nodes=[named(node) for node in self.nodes])

    def with_inputs(
        self, reads: Iterable[str] | Mapping[str, str], *, of: Iterable[str] | None = None
    ) -> "Stage":
        """The same stage whose networks read these signals in place of ``batch.image``.

        Args:
            reads: signals, such as ``["batch.input_ids", "batch.attention_mask"]``; or what each
                is called in ``forward``, and the signal, see `Role`.
            of: names of roles; None: all that read the image.

        >>> from stillhouse.methods import plain
        >>> plain(nn.Linear(2, 2)).with_inputs(["batch.tokens"]).role("student").reads
        ('batch.tokens',)
        """
        names = None if of is None else set(of)
        signals = reads if isinstance(reads, Mapping) else tuple(reads)

        def fed(node: Node) -> Node:
            asked = isinstance(node, Role) and (names is None or node.name in names)
            return node.reading(signals) if asked and node.reads == (IMAGE,) else node  # type: ignore[attr-defined]

        return replace(self, nodes=[fed(node) for node in self.nodes])

    def through(self, name: str, bridge: Node) -> "Stage":
        """The same stage with a role that reads a bridge, such as its own form of the image.

        Whoever follows the role (an Ema) reads the bridge, too.
        """
        module = self.role(name).module

        def read(node: Node) -> Node:
            if node.name != name and not (isinstance(node, Ema) and node.of.module is module):
                return node
            return node.reading(bridge.name) if isinstance(node, Role) else node

        return replace(self, nodes=[*(read(node) for node in self.nodes), bridge])
