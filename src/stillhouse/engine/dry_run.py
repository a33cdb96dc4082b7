"""Dry run: every needed node and term once, on a small batch, in eval mode, without gradients.

It sizes bridges, learns shapes, and finds what only a run can tell.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from stillhouse.engine.facts import lacking
from stillhouse.engine.filling import check_positions
from stillhouse.engine.flags import Flags
from stillhouse.engine.graph import Graph
from stillhouse.engine.heads import distilled_beside, makes_logits
from stillhouse.engine.nodes import Bridge, Node, Role, in_precision
from stillhouse.engine.order import parts_of
from stillhouse.engine.seeding import seeded
from stillhouse.engine.signals import BATCH, EMBEDDING, LOGITS, Signals, owner, part, shape_text
from stillhouse.engine.taps import Taps
from stillhouse.engine.terms import Term
from stillhouse.errors import StillhouseError, WiringError, nearest
from stillhouse.faults import first_line
from stillhouse.models.given import own_precision, set_eval
from stillhouse.tasks import Task


def _run_node(node: Node, signals: Signals, seed: int) -> str | None:
    """Run one node into ``signals``; gives the problem, if any."""
    missing = [need for need in node.needs if need not in signals]
    if missing and owner(missing[0]) == BATCH:
        return f"node '{node.title}' reads '{missing[0]}': {lacking(missing[0], signals)}"
    if missing:
        given = ", ".join(name for name in signals if owner(name) == owner(missing[0]))
        return (
            f"node '{node.title}' reads '{missing[0]}', which nothing gives (there is: {given})"
            if given
            else None  # its source failed and was reported
        )
    try:
        if isinstance(node, Bridge):
            with seeded(seed, "init", node.name):
                node.build(signals)
            if node.mask is not None:
                check_positions(node.name, node.module)
        signals.update(node.run(signals))
    except WiringError as error:
        return f"{error.where}: " + "; ".join(error.problems)
    except StillhouseError as error:
        return str(error)
    except Exception as error:
        shapes = ", ".join(f"{need} {shape_text(signals[need])}" for need in node.needs)
        return f"node '{node.title}' fails on {shapes}: {first_line(error)}"
    return None


def head_problem(
    node: Node, signals: Mapping[str, Tensor], nodes: Sequence[Node] = ()
) -> str | None:
    """An embedding is the input of the head: the head must give the logits from it.

    A head that gives them only with another beside it cannot be taken by another network.
    """
    embedding, logits = f"{node.name}.{EMBEDDING}", f"{node.name}.{LOGITS}"
    if not isinstance(node, Role) or embedding not in signals or EMBEDDING in node.aliases:
        return None
    if logits not in signals:
        return None
    head, wanted = node.head_module(), signals[logits]
    own = signals[embedding].to(own_precision(head) or torch.float32)
    if not isinstance(head, nn.Conv2d) and makes_logits(head(own), wanted):
        return None
    beside = distilled_beside(node.module, node.head)
    paths = [node.head] if beside is None else [node.head, beside]
    with Taps(node.module, paths, who=node.name) as taps:
        images = [signals[name] for name in node.reads]
        node.call(in_precision(own_precision(node.module), images)[0])
        given = taps.collect()
    if not makes_logits(given[node.head], wanted, given.get(beside or "")):
        return (
            f"'{node.name}.{node.head}' is taken for the head, but its output is not the logits; "
            "name the head (head: PATH)"
        )
    if any(isinstance(each, Bridge) and each.module is head for each in nodes):
        other = f" and '{beside}'" if beside else " over positions"
        return (
            f"the logits of '{node.name}' are the mean of '{node.head}'{other}, so its head alone "
            "cannot judge another network's embedding; take a method that shares no head"
        )
    return None


def _missing_problem(asker: str, read: str, signals: Mapping[str, Tensor]) -> str | None:
    """A signal that its node did not give; None when the whole node failed and was reported."""
    if owner(read) == BATCH:
        return f"{asker} reads '{read}': {lacking(read, signals)}"
    given = [name for name in signals if owner(name) == owner(read)]
    return f"{asker} reads '{read}'; {nearest(read, given)}" if given else None


def _measure_problem(
    task: Task, label: str, signal: str, signals: Mapping[str, Tensor], titles: Mapping[str, str]
) -> str | None:
    """What is scored must be there, in the form that the task scores."""
    if signal not in signals:
        return _missing_problem(f"measure '{label}'", signal, signals)
    output, known = signals[signal], titles.get(owner(signal), owner(signal))
    called = f"{known}.{part(signal)}"  # a teacher that is scored alone is the 'student' there
    label = titles.get(label, label)
    problem = task.output_problem(output)
    if problem:
        kind = "" if output.is_floating_point() else f"{str(output.dtype)[6:]} "
        return f"measure '{label}' scores {problem}, but '{called}' is {kind}{shape_text(output)}"
    labels = signals.get(f"{BATCH}.label")
    unfit = None if labels is None or output.ndim != 2 else task.batch_problem(
        labels, output.shape[1])  # fmt: skip
    if unfit is not None:
        said = f"measure '{label}': '{called}' is {shape_text(output)} and does not fit: {unfit}"
        return f"{said}; give a network with an output for each class"
    return _metric_problem(task, output, labels)


def _metric_problem(task: Task, output: Tensor, label: Tensor | None) -> str | None:
    """The headline metric of a task must be among what it measures."""
    if label is None or len(label) != len(output) or task.metric.name in _more(task):
        return None
    try:
        there = list(task.rows(output, label))
    except Exception as error:
        return f"task '{task.name}' cannot score the first batch: {first_line(error)}"
    if task.metric.name in there:
        return None
    known = ", ".join([*there, *_more(task)]) or "nothing"
    return (
        f"task '{task.name}' is measured by '{task.metric.name}', and its rows, further and whole "
        f"give {known}"
    )


def _more(task: Task) -> list[str]:
    """What is measured that is no mean over rows."""
    return [*task.further(), *task.whole]


def _term_problem(term: Term, signals: Mapping[str, Tensor], seed: int) -> str | None:
    for read in term.reads:
        if read not in signals:
            return _missing_problem(f"term '{term.name}'", read, signals)
    try:
        with seeded(seed, "init", term.name):
            term.build(signals)
        value = _value(term, signals)
    except Exception as error:
        shapes = ", ".join(f"{read} {shape_text(signals[read])}" for read in term.reads)
        return f"term '{term.name}' does not fit {shapes}: {first_line(error)}"
    if not torch.isfinite(value):
        sick = [f"'{read}'" for read in term.reads if _unusable(signals[read])]
        from_where = f": {' and '.join(sick)} holds nan or inf already" if sick else ""
        return f"term '{term.name}' is {value.item()} on the first batch{from_where}"
    return None


def _unusable(signal: Tensor) -> bool:
    """Whether it holds nan or inf; minus infinity rules a class out."""
    return signal.is_floating_point() and bool((signal.isnan() | signal.isposinf()).any())


def _value(term: Term, signals: Mapping[str, Tensor]) -> Tensor:
    """The term in eval mode: a memory bank fills in training mode only."""
    if term.module is None:
        return term.value(signals)
    flags = Flags([term.module])
    try:
        term.module.eval()
        return term.value(signals)
    finally:
        flags.restore()


def dry_run(
    stage: Graph, nodes: Sequence[Node], signals: Signals, seed: int, problems: list[str]
) -> Signals:
    """Run all nodes and terms once; adds to ``problems``, leaves no flag or hook behind."""
    flags = Flags([node.module for node in nodes if node.module is not None])
    parts = parts_of(stage, nodes)
    try:
        with torch.no_grad():
            for node in nodes:
                if node.module is not None:
                    set_eval(node.module)
                node.open(parts[node.name])
                if isinstance(node, Role):
                    node.watch()
                found = _run_node(node, signals, seed) or head_problem(node, signals, nodes)
                problems += [found] if found else []
            titles = {node.name: node.title for node in nodes}
            unfit = {
                signal: found
                for label, signal in stage.measures.items()
                if (found := _measure_problem(stage.task, label, signal, signals, titles))
            }
            # What has another form than the task scores fits no loss either: once is enough.
            asked: list[str | None] = [
                _term_problem(term, signals, seed)
                for term in stage.terms()
                if not set(term.reads) & {signal for signal in unfit if signal in signals}
            ]
            asked += unfit.values()
            asked += [
                _missing_problem(f"diagnostic '{diagnostic.name}'", read, signals)
                for diagnostic in stage.diagnostics
                for read in diagnostic.reads
                if read not in signals
            ]
            problems += [found for found in asked if found]
    finally:
        for node in nodes:
            node.close()
        flags.restore()
    return signals
