"""The head of a classifier: the Linear that turns the embedding into logits."""

from torch import nn

from stillhouse.errors import ModelError


def find_head(module: nn.Module, *, who: str) -> str:
    """Path of the last Linear of a model; wiring then checks that it gives the logits.

    Raises:
        ModelError: the model has no Linear.

    >>> find_head(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), who="student")
    '2'
    """
    linears: list[str] = [
        name for name, part in module.named_modules() if isinstance(part, nn.Linear)
    ]
    if not linears:
        raise ModelError(
            f"{who} ({type(module).__name__}) has no Linear inside that could be its head; "
            "name the module that gives the logits (head: PATH)"
        )
    return linears[-1]
