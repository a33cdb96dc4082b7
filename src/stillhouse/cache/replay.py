"""Replay: whether a stage can do with a cached role, and the node that serves it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.cache.teacher_cache import TeacherCache
from stillhouse.data.views import LOOKUP
from stillhouse.engine.graph import Graph
from stillhouse.engine.nodes import Bridge, Ema, Node, Role
from stillhouse.engine.order import nodes_behind, order_nodes, parts_of
from stillhouse.engine.signals import Signals, owner, part
from stillhouse.errors import CacheError, nearest


@dataclass(frozen=True)
class Need:
    """What a stage needs of a role.

    Args:
        parts: what it reads in each step, with the shape of one sample.
        sizing: parts that only size a bridge.
    """

    parts: Mapping[str, tuple[int, ...]]
    sizing: Mapping[str, tuple[int, ...]]


def needed(stage: Graph, name: str, seen: Mapping[str, Tensor]) -> Need:
    """What a stage needs of a role, by the signals that its dry run saw.

    A stage that was opened once knows its bridges' sizes; the cached role then only has to give
    what is read. ``seen`` is the wiring's, of such an opening.
    """
    read, sizing = cached_parts(stage, name)
    shapes = {
        key: tuple(seen[f"{name}.{key}"].shape[1:])
        for key in (*read, *sizing)
        if f"{name}.{key}" in seen
    }
    return Need({p: shapes[p] for p in read}, {p: shapes[p] for p in sizing if p in shapes})


def nodes_before(stage: Graph, name: str) -> tuple[Node, ...]:
    """What a role reads, such as its own form of the image; empty when it reads the batch."""
    return tuple(n for n in order_nodes(stage, stage.node(name).reads) if n.name != name)


def replay_problems(stage: Graph, name: str) -> list[str]:
    """Why a role of a stage cannot be cached; empty when it can.

    A cached role gives the same signals for the same sample and view for ever, and no gradient.
    So it may not learn or follow a learner, and all that it reads must come from the batch alone.
    Validation images are not cached, so it may not be measured either.

    >>> from torch import nn
    >>> from stillhouse.methods import kd
    >>> replay_problems(kd(nn.Linear(4, 2), nn.Linear(4, 2)), "teacher")
    []
    >>> replay_problems(kd(nn.Linear(4, 2), nn.Linear(4, 2)), "student")[0]
    "'student' learns, so its signals change with each step"
    """
    node = stage.node(name)
    if name in stage.learners:
        return [f"'{name}' learns, so its signals change with each step"]
    if isinstance(node, Ema):
        return [f"'{name}' follows '{node.of.name}', so its signals change with each step"]
    if not isinstance(node, Role):
        return [f"'{name}' is a {type(node).__name__}, not a role"]
    problems = []
    for before in nodes_before(stage, name):
        if before.name in stage.learners:
            problems.append(
                f"'{name}' reads '{before.name}', which learns: its gradient goes through '{name}'"
            )
        elif not isinstance(before, Bridge):
            problems.append(f"'{name}' reads '{before.name}', which is no bridge of the batch")
    scored = [(label, signal, "scored") for label, signal in stage.measures.items()]
    scored += [
        (diagnostic.name, read, "diagnosed")
        for diagnostic in stage.diagnostics
        for read in diagnostic.reads
    ]
    problems += [
        f"'{label}' ({signal}) is {done} on validation images, which are not cached"
        for label, signal, done in scored
        if node in nodes_behind(stage, [signal])
    ]
    return problems


def cached_parts(stage: Graph, name: str) -> tuple[list[str], list[str]]:
    """The parts of a role that a fresh stage reads in each step, and those that size a bridge.

    >>> from torch import nn
    >>> from stillhouse.methods import th_kd
    >>> cached_parts(th_kd(nn.Linear(4, 2), nn.Linear(4, 2), student_head="", head=""), "teacher")
    (['logits'], ['embedding'])
    """
    signals = [read for term in stage.terms() for read in term.reads]
    read = [need for node in nodes_behind(stage, signals) for need in node.reads] + signals
    wanted = {part(signal): None for signal in read if owner(signal) == name}
    known = parts_of(stage, order_nodes(stage, signals)).get(name, ())
    sizing = [p for p in known if p and p not in wanted]
    return list(wanted), sizing


class Replay(Node):
    """A cached role. Reads which samples and views a batch shows; gives the role's signals.

    A part that the teacher cache knows by shape only (a bridge is sized by it, nothing reads it) is
    given as nan that takes no room.

    Raises:
        CacheError: a view was asked for that was not cached.
    """

    cached = True

    def __init__(self, name: str, cache: TeacherCache) -> None:
        super().__init__(name, [LOOKUP, "batch.index"])
        self.cache = cache
        self._parts: tuple[str, ...] = tuple(cache.parts)

    def problem(self, part: str) -> str | None:
        """Only cached parts can be served."""
        known = [*self.cache.parts, *self.cache.shapes]
        if part in known:
            return None
        return f"'{part}' of '{self.name}' was not cached; {nearest(part, known)}"

    def open(self, parts: Sequence[str]) -> None:  # type: ignore[override]
        """Serve only what is read."""
        self._parts = tuple(parts)

    def run(self, signals: Mapping[str, Tensor]) -> Signals:
        """Look the batch up: on the CPU, so that an accelerator is never waited for."""
        index, view = signals[LOOKUP].unbind(1)
        device = signals["batch.index"].device
        views = view.unique().tolist()
        if views[-1] >= self.cache.views or views[0] < 0:
            raise CacheError(
                f"'{self.name}' was cached for views 0..{self.cache.views - 1}, but view "
                f"{int(views[-1])} was shown; cache more views or set data.views: "
                f"{self.cache.views}"
            )
        given = {}
        for asked in self._parts:
            if asked in self.cache.parts:
                value = self._gather(asked, index, view, views)
            else:
                shape = self.cache.shapes[asked]
                value = torch.full((), torch.nan).expand(len(index), *shape)
            given[f"{self.name}.{asked}"] = value.to(device, non_blocking=True)
        return given

    def _gather(self, part: str, index: Tensor, view: Tensor, views: list[int]) -> Tensor:
        shards = self.cache.parts[part]
        if len(views) == 1:  # the batches of an epoch show one view
            return shards.gather(views[0], index)
        value = torch.empty(len(index), *shards.shape)
        for one in views:
            value[view == one] = shards.gather(one, index[view == one])
        return value
