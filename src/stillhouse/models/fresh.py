"""Networks that functions make: each of them anew, for what two of them share both would train."""

from weakref import WeakValueDictionary

from torch import nn

from stillhouse.errors import ModelError

_MADE: "WeakValueDictionary[int, nn.Parameter]" = WeakValueDictionary()
"""Parameters of networks that functions have made, as long as somebody holds them, by their id."""


def made_anew(module: nn.Module, name: str) -> nn.Module:
    """Make sure that a function made all of a network anew.

    Args:
        module: what it gave.
        name: of the function.

    Raises:
        ModelError: a parameter of it is in a network that this function, or another, gave before.

    >>> layer = made_anew(nn.Linear(2, 2), "make")
    >>> made_anew(nn.Sequential(layer), "make")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    stillhouse.errors.ModelError: 'make' gave '0.weight' a second time: ...
    """
    for path, value in module.named_parameters():
        if _MADE.get(id(value)) is value:
            raise ModelError(
                f"'{name}' gave '{path}' a second time: what networks share, each of them would "
                "train; make it inside the function (copy.deepcopy of what is trained already), "
                "or give the network itself, which is copied"
            )
    _MADE.update({id(value): value for value in module.parameters()})
    return module
