"""Which bridges and terms are of maps of sentences, so that they leave their filling out."""

from collections.abc import Collection, Iterable

from torch import nn

from stillhouse.engine.graph import Graph
from stillhouse.engine.nodes import Bridge, Node, Role
from stillhouse.engine.signals import CONTENT, EMBEDDING, LOGITS, owner, part
from stillhouse.errors import WiringError

WHOLE = (LOGITS, EMBEDDING)
"""Parts of a role that are of whole rows."""


def leave_out_frames(stage: Graph, batch: Collection[str]) -> None:
    """Let terms that may leave the filling around images out read how much of a frame is image.

    >>> from stillhouse.engine.graph import Update
    >>> from stillhouse.engine.terms import Term
    >>> term = Term("gap", lambda s, t: s - t, ["a.x", "b.x"], framed=True)
    >>> leave_out_frames(Graph("s", [], [Update("a", [term])]), ["batch.image", "batch.content"])
    >>> term.reads
    ('a.x', 'b.x', 'batch.content')
    """
    for term in stage.terms():
        if term.framed or term.cropped:
            known = tuple(name for name in term.reads if name != CONTENT)
            term.reads = (*known, CONTENT) if CONTENT in batch else known


def leave_out_filling(stage: Graph) -> None:
    """Tell bridges and terms that read maps of sentences which signal says what is filling.

    The taps of a role that reads an ``attention_mask`` are of tokens, or of what these look at;
    what is made of them, through bridges, is of the same positions. Of images nothing is told.

    >>> from stillhouse.engine.nodes import Role
    >>> from torch import nn
    >>> role = Role("student", nn.Linear(2, 2), reads=["batch.input_ids", "batch.attention_mask"])
    >>> stage = Graph("s", [role, Bridge("hint", lambda x: x, "student.layers.0")], [])
    >>> leave_out_filling(stage)
    >>> stage.node("hint").mask
    'batch.attention_mask'
    """
    roles = {node.name: node.mask for node in stage.nodes if isinstance(node, Role)}
    some = next((mask for mask in roles.values() if mask is not None), None)
    if some is None:
        return
    known: dict[str, str] = {}
    stage_names = {node.name for node in stage.nodes if not isinstance(node, Bridge)}

    def told(reads: Iterable[str]) -> str | None:
        for read in reads:
            of_tap = owner(read) in stage_names and part(read) not in WHOLE
            mask = roles.get(owner(read), some) if of_tap else known.get(read)
            if mask is not None:
                return mask
        return None

    left: list[Node] = list(stage.nodes)
    while left:
        found = [node for node in left if isinstance(node, Bridge) and told(node.reads)]
        for node in found:
            known[node.name] = node.mask = told(node.reads) or some
        left = [node for node in left if node not in found] if found else []
    for term in stage.terms():
        term.mask = told(term.reads)


def check_positions(name: str, module: nn.Module | None) -> None:
    """Refuse layers that mix neighbouring positions. Raises WiringError."""
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)
    wide = [part for part in ([] if module is None else module.modules())
            if isinstance(part, kinds) and max(part.kernel_size) > 1]  # fmt: skip
    if wide:
        size = "x".join(map(str, wide[0].kernel_size))
        raise WiringError(
            f"bridge '{name}'",
            [
                f"it has convolutions of {size} over neighbouring positions, which are of maps of "
                "images, and these rows are sentences; take a method that compares position by "
                "position (fitnet, vid, at, cwd, attention_kd) or logits (kd)"
            ],
        )
