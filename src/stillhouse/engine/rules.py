"""Rules: all that is wrong with a stage by its declarations alone, before anything runs."""

import math
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn

from stillhouse.data.mixing import LABEL, PARTNER_LABEL
from stillhouse.engine.graph import Graph, Update
from stillhouse.engine.mixed_labels import LEAVE_OUT, MIXED, is_mixed
from stillhouse.engine.nodes import Bridge, Ema, Node, Role
from stillhouse.engine.order import nodes_behind, order_nodes
from stillhouse.engine.signals import BATCH, owner, part
from stillhouse.errors import StillhouseError, WiringError, nearest

BATCH_PARTS = ("image", "label", "index", "view", "lookup", "partner_label", "lam")


def _signal_problem(
    stage: Graph, batch: Mapping[str, Tensor], signal: str, asker: str
) -> str | None:
    name = owner(signal)
    if name == BATCH:
        if signal in batch or part(signal) in BATCH_PARTS:
            return None  # whether it is there is seen when it is run
        known = [*batch, *(f"{BATCH}.{column}" for column in BATCH_PARTS)]
        return f"{asker} reads '{signal}'; {nearest(signal, dict.fromkeys(known))}"
    names = [node.name for node in stage.nodes]
    if name not in names:
        return f"{asker} reads '{signal}', but there is no node '{name}'; {nearest(name, names)}"
    try:
        problem = stage.node(name).problem(part(signal))
    except StillhouseError as error:
        problem = str(error)
    return f"{asker} reads '{signal}': {problem}" if problem else None


def _reads(stage: Graph) -> list[tuple[str, str]]:
    """Every read of the stage, with who asks."""
    found = [(f"node '{node.name}'", need) for node in stage.nodes for need in node.needs]
    found += [(f"term '{term.name}'", read) for term in stage.terms() for read in term.reads]
    found += [(f"measure '{label}'", read) for label, read in stage.measures.items()]
    found += [
        (f"diagnostic '{diagnostic.name}'", read)
        for diagnostic in stage.diagnostics
        for read in diagnostic.reads
    ]
    return found


def _twice(names: Sequence[str], what: str) -> list[str]:
    again = sorted({name for name in names if names.count(name) > 1})
    return [f"two {what} are called '{name}'" for name in again]


def _learner_problems(stage: Graph) -> list[str]:
    problems = []
    names = [node.name for node in stage.nodes]
    for update in stage.updates:
        for name in update.learners:
            if name not in names:
                problems.append(f"{update.name} trains '{name}', which is no node; "
                                f"{nearest(name, names)}")  # fmt: skip
            elif isinstance(stage.node(name), Ema) or not isinstance(
                stage.node(name), Role | Bridge
            ):
                kind = type(stage.node(name)).__name__
                problems.append(f"{update.name} trains '{name}', but a {kind} never learns")
        if update.every < 1:
            problems.append(
                f"{update.name} plays every {update.every} steps; it must be at least 1"
            )
    for node in stage.nodes:
        if isinstance(node, Ema) and node.of.module not in [other.module for other in stage.nodes]:
            problems.append(f"'{node.name}' follows a '{node.of.name}' that is not in this stage; "
                            "make it from the role that is")  # fmt: skip
    if not (stage.updates or stage.only_scored) and (stage.measures or not stage.diagnostics):
        problems.append("it has no update, so nothing would learn; add an Update")
    if stage.keeps not in names:
        problems.append(f"keeps '{stage.keeps}', which is no node; {nearest(stage.keeps, names)}")
    elif not stage.only_scored and isinstance(stage.node(stage.keeps), Role):
        learners = dict.fromkeys(name for update in stage.updates for name in update.learners)
        if learners and stage.keeps not in learners:
            problems.append(
                f"no update trains '{stage.keeps}', whose weights are kept (trained: "
                f"{', '.join(learners)}); give it an Update('{stage.keeps}', [...])"
            )
    return problems


def _use_problems(stage: Graph, update: Update) -> list[str]:
    """Learners that no term reaches, and terms that teach nobody."""
    problems = []
    learners = set(update.learners)
    reached: set[str] = set()
    for term in update.terms:
        if isinstance(term.weight, float | int) and not math.isfinite(term.weight):
            problems.append(
                f"the weight of term '{term.name}' is {term.weight}; give a finite number"
            )
        taught = order_nodes(stage, term.reads if term.through else term.reads[:1])
        names = {node.name for node in taught} & learners
        has_own = term.module is not None and any(True for _ in term.module.parameters())
        if not names and not has_own:
            problems.append(
                f"term '{term.name}' teaches nobody: '{term.reads[0]}' depends on none of "
                f"{', '.join(update.learners)} (the first signal learns, the rest are targets)"
            )
        reached |= names
    for name in update.learners:
        if name not in reached:
            problems.append(f"{update.name} trains '{name}', but no term of it depends on '{name}'")
    return problems


def _frozen_problems(stage: Graph) -> list[str]:
    problems = []
    for node in stage.nodes:
        try:
            _ = node.frozen_parts() if isinstance(node, Role) else []
        except StillhouseError as error:
            problems.append(str(error))
    return problems


def _cached_problems(stage: Graph) -> list[str]:
    """Diagnostics of what was cached: a cache knows training rows, a diagnostic sees others."""
    return [
        f"diagnostic '{each.name}' reads '{read}', which needs the cached '{node.name}': only "
        f"training rows were cached, and diagnostics see validation rows; use the live "
        f"'{node.name}'"
        for each in stage.diagnostics
        for read in each.reads
        for node in nodes_behind(stage, [read])
        if node.cached
    ]


def _mixing_problems(stage: Graph, batch: Mapping[str, Tensor]) -> list[str]:
    """Why a stage cannot learn from images that were mixed of two rows."""
    if not is_mixed(batch) or LABEL not in batch:  # without labels images alone are mixed
        return []
    lacking = [signal for signal in (LABEL, *MIXED) if signal not in batch]
    if lacking:
        wanted = ", ".join(map(part, (LABEL, *MIXED)))
        return [f"a batch of mixed images holds {wanted}, and '{part(lacking[0])}' is not there"]
    terms = [term for term in stage.terms() if _reads_one_label(term.reads)]
    if not stage.task.mixes and any(term.loss == stage.task.loss for term in terms):
        return [f"the task '{stage.task.name}' has a loss of one label a row, and {LEAVE_OUT}"]
    who = [f"node '{node.name}'" for node in stage.nodes if _reads_one_label(node.needs)]
    who += [f"term '{term.name}'" for term in terms]
    who += [] if stage.order is None else ["the order of rows"]
    return [f"{' and '.join(who)}: it is about the one class of a row, and {LEAVE_OUT}"][: len(who)]


def _reads_one_label(reads: Sequence[str]) -> bool:
    return LABEL in reads and PARTNER_LABEL not in reads


def static_problems(stage: Graph, batch: Mapping[str, Tensor]) -> list[str]:
    """All that is wrong with the declarations, for batches that hold such signals."""
    problems = _twice([node.name for node in stage.nodes], "nodes")
    problems += _twice([term.name for term in stage.terms()], "terms")
    problems += _twice([diagnostic.name for diagnostic in stage.diagnostics], "diagnostics")
    problems += _learner_problems(stage) + _frozen_problems(stage)
    problems += _mixing_problems(stage, batch)
    blind = [f"term '{term.name}' reads no signal" for term in stage.terms() if not term.reads]
    problems += blind
    asked = [_signal_problem(stage, batch, signal, asker) for asker, signal in _reads(stage)]
    problems += [problem for problem in asked if problem]
    known = {BATCH, *(node.name for node in stage.nodes)}
    if blind or any(owner(signal) not in known for _, signal in _reads(stage)):
        return problems  # the reads cannot be walked
    problems += _cached_problems(stage)
    try:
        for update in stage.updates:
            problems += _use_problems(stage, update) if known.issuperset(update.learners) else []
    except WiringError as error:
        problems += error.problems
    return problems


def shared_problems(stage: Graph, nodes: Iterable[Node]) -> list[str]:
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
