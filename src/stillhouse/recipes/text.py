"""How texts become tokens, as keys of a recipe."""

from typing import Annotated

from pydantic import Field

from stillhouse.recipes.section import Section


class TokensSection(Section):
    """The tokeniser of the data, and the length of a row.

    ``tokenizer``: ``wordpiece`` or ``bpe``, trained on the training texts with so many tokens
    (``vocabulary``), with or without capital letters (``lowercase``); or one that is there, a
    ``tokenizer.json`` or a folder that has one. ``max_length``: tokens of a row; longer texts are
    cut, shorter ones filled up. ``teacher``: the teacher's own tokeniser, a file or a folder.
    """

    tokenizer: Annotated[str, Field(min_length=1)] = "wordpiece"
    vocabulary: Annotated[int, Field(ge=300, le=1_000_000)] = 8000
    max_length: Annotated[int, Field(ge=2, le=100_000)] = 64
    lowercase: bool = False
    teacher: Annotated[str, Field(min_length=1)] | None = None
