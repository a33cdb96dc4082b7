"""What a family of models is: names it answers to, and how one is built."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

# Up to four digits: no model of the literature needs more, and a slip of the keyboard
# must not ask for terabytes.
NUMBER = "[1-9][0-9]{0,3}"


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What a network of sentences must know of its tokens.

    Args:
        vocabulary: how many there are.
        length: of a row, at most.
        pad: id of the filling.
        causal: whether it is a language model, which gives the next token.
    """

    vocabulary: int
    length: int
    pad: int = 0
    causal: bool = False


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What the caller of `build_model` asked for.

    Args:
        name: the full name, for messages.
        classes: number of logits.
        channels: channels of the images.
        size: height and width of the images in pixels, where the caller said it.
        arguments: further ones for a function of another package.
        tokens: where it is to read sentences, and not images.
    """

    name: str
    classes: int
    channels: int
    size: tuple[int, int] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    tokens: TokenFacts | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """Models that share one way of being built.

    Args:
        pattern: regular expression that the whole name must match.
        examples: names of this family; all of them where it has finitely many.
        build: makes the network from the match of `pattern` and the request.
        line: one sentence on what these networks are.
        paper: where the architecture comes from; empty for plain layers and for other packages,
            whose networks have papers of their own.
        of_sentences: whether they read tokens, and not images; None: either.

    >>> toy = Family("toy([0-9]+)", ("toy3",), lambda found, ask: nn.Identity(), "Toys.")
    >>> toy.match("toy12").group(1), toy.match("toys")
    ('12', None)
    """

    pattern: str
    examples: tuple[str, ...]
    build: Callable[[re.Match[str], ModelRequest], nn.Module]
    line: str
    paper: str = ""
    of_sentences: bool | None = False

    def match(self, name: str) -> re.Match[str] | None:
        """The match of `name` with the pattern, or None where it is no name of this family."""
        return re.fullmatch(self.pattern, name)
