"""What each method composes at its defaults: golden, in defaults.txt.

A block names a method, with settings that are none of its defaults where it has further forms, and
whose values they are. Below it stand who learns, the terms with their weights, the modules that
learn beside the networks, what is kept and measured. Weights that follow the training are given at
`EPOCHS` of 240. Networks and data are the toys of `stillhouse.testing`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from torch import nn

from stillhouse.engine.facts import facts_of
from stillhouse.engine.nodes import Bridge
from stillhouse.engine.stage import Stage
from stillhouse.engine.terms import Term
from stillhouse.engine.wiring import wire
from stillhouse.methods import find_method
from stillhouse.testing.toy import taught, toy_batches, untaught

EPOCHS = (0.0, 1.0, 10.0, 20.0, 29.9, 30.0, 65.0, 239.0)
BLOCKS = (Path(__file__).parent / "defaults.txt").read_text().strip().split("\n\n")


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.partition("  #")[0])
def test_the_defaults_are_golden(block: str) -> None:
    header, *lines = block.splitlines()
    name, settings = re.match(r"(\w+) ?(\{.*?\})?  # .", header).groups()
    stage = composed(name, yaml.safe_load(settings or "{}"))
    assert list(drawn(stage)) == [line.strip() for line in lines]


def composed(name: str, settings: dict[str, object]) -> Stage:
    """Of toy networks, whole, with bridges of their sizes."""
    method = find_method(name)
    others = [taught(6)] if method.needs_teacher else [[untaught(6)]] if method.needs_peers else []
    stage = method.build(untaught(4), *others, **settings).completed(facts_of(toy_batches()))
    wire(stage, toy_batches().sample())
    return stage.with_labelled_terms()


def drawn(stage: Stage) -> Iterator[str]:
    """A stage in lines."""
    for update in stage.updates:
        yield f"learns {', '.join(update.learners)}"
        yield from map(term_line, update.terms)
    for node in stage.nodes:
        if isinstance(node, Bridge) and node.name in stage.learners and node.module is not None:
            parts = [part for part in node.module.modules() if not list(part.children())]
            made = " ".join(map(layer, parts)) or "nothing"
            yield f"{node.name} of {', '.join(node.reads)}: {made}"
    measured = [label if label == signal else f"{label} by {signal}"
                for label, signal in stage.measures.items()]  # fmt: skip
    yield f"keeps {stage.keeps}; measures {', '.join(measured)}"
    yield from (f"{key}: {value}" for key, value in stage.notes.items())


def term_line(term: Term) -> str:
    weights = [term.weight_at(epoch, 240.0) for epoch in EPOCHS]
    several = f"[{', '.join(f'{weight:.10g}' for weight in weights)}]"
    weight = repr(weights[0]) if len(set(weights)) == 1 else several
    given = [*term.reads, *(f"{key}={value!r}" for key, value in term.options.items())]
    loss = getattr(term.loss, "__name__", type(term.loss).__name__)
    through = " through" if term.through else ""
    return f"{term.name} = {weight} * {loss}({', '.join(given)}){through}"


def layer(part: nn.Module) -> str:
    """A layer by its kind and, where it has them, its widths."""
    for kind in ("channels", "features"):
        if hasattr(part, f"in_{kind}"):
            widths = getattr(part, f"in_{kind}"), getattr(part, f"out_{kind}")
            return "{}[{}>{}]".format(type(part).__name__, *widths)
    return type(part).__name__
