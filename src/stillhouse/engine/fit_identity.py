"""What tells one fit from another, where nobody says it."""

from typing import Any

from torch import Tensor, nn

from stillhouse.data.batches import BatchSource
from stillhouse.engine.graph import Graph
from stillhouse.engine.nodes import Role
from stillhouse.engine.trainer import Settings
from stillhouse.records.code import code_identity
from stillhouse.records.fingerprint import fingerprint, weights_fingerprint


def _shapes(module: nn.Module) -> list[list[int]]:
    """Of all its tensors; an extra state of a layer's own may be none."""
    return [list(v.shape) for v in module.state_dict().values() if isinstance(v, Tensor)]


def fit_beginning(stage: Graph, train: BatchSource) -> str:
    """What a fit begins with, beside its identity: the weights of its nodes, and the first rows."""
    modules = {node.name: node.module for node in stage.nodes if node.module is not None}
    weights = {name: weights_fingerprint(module) for name, module in modules.items()}
    return fingerprint({"weights": weights, "rows": weights_fingerprint(train.sample())})


def fit_identity(stage: Graph, settings: Settings, batches: int) -> str:
    """What tells one fit from another where nobody says: never the weights that it begins with."""

    def of(function: Any) -> str:
        known = function if hasattr(function, "__qualname__") else type(function)
        return f"{known.__module__}.{known.__qualname__}"

    shares = (0.0, 0.1, 0.5, 1.0)
    terms = [
        [
            term.name,
            of(term.loss),
            term.reads,
            sorted((k, of(v) if callable(v) else repr(v)) for k, v in term.options.items()),
            [term.weight_at(share * settings.epochs, float(settings.epochs)) for share in shares],
        ]
        for term in stage.terms()
    ]
    nodes = [
        [n.name, n.reads, of(n.module), _shapes(n.module)]
        if n.module is not None else [n.name, n.reads]
        for n in stage.nodes
    ]  # fmt: skip
    rules = {
        name: code_identity(value) if callable(value) else value
        for name, value in vars(settings).items()
        if name not in ("checkpoint_seconds", "compile") and not _is_off(name, value)
    }
    rates = {
        n.name: [
            [name, n.lr_scales[p]] for name, p in n.module.named_parameters() if p in n.lr_scales
        ]
        for n in stage.nodes
        if isinstance(n, Role) and n.lr_scales
    }
    task = dict(stage.task.settings)
    told = {"stage": stage.name, "terms": terms, "nodes": nodes, "batches": batches}
    return fingerprint(
        {
            **told,
            "settings": rules,
            **({"lr_scales": rates} if rates else {}),
            **({"task": task} if task else {}),
        }
    )


def _is_off(name: str, value: Any) -> bool:
    """A rule that came later and is not asked for changes no fit of before."""
    return name == "patience" and value is None
