"""The order in which nodes run, found by walking the declared reads."""

from collections.abc import Iterable

from stillhouse.engine.diagnostics import reads_of
from stillhouse.engine.graph import Graph
from stillhouse.engine.nodes import Node
from stillhouse.engine.signals import BATCH, owner, part
from stillhouse.errors import WiringError


def order_nodes(stage: Graph, wanted: Iterable[str]) -> tuple[Node, ...]:
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


def nodes_behind(stage: Graph, signals: Iterable[str]) -> tuple[Node, ...]:
    """The nodes behind signals once bridges have their sizes: by what is read, not to size."""
    found: dict[str, Node] = {}
    waiting = [signal for signal in signals if owner(signal) != BATCH]
    while waiting:
        node = stage.node(owner(waiting.pop()))
        if node.name not in found:
            found[node.name] = node
            waiting += [read for read in node.reads if owner(read) != BATCH]
    return tuple(found.values())


def parts_of(
    stage: Graph, nodes: Iterable[Node], also: Iterable[str] = ()
) -> dict[str, tuple[str, ...]]:
    """Which parts of each node these nodes, the terms, measures and diagnostics read.

    ``also`` are further signals that somebody wants.
    """
    running = list(nodes)
    signals = [need for node in running for need in node.needs]
    signals += [read for term in stage.terms() for read in term.reads]
    signals += [*stage.measures.values(), *reads_of(stage.diagnostics), *also]
    parts: dict[str, dict[str, None]] = {node.name: {} for node in running}
    for signal in signals:
        if owner(signal) in parts:
            parts[owner(signal)][part(signal)] = None
    return {name: tuple(found) for name, found in parts.items()}
