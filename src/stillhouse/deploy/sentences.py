"""From a text to what a program of sentences takes, and the network behind that."""

from pathlib import Path
from typing import Any

import torch
from pydantic import PrivateAttr
from torch import Tensor, nn

from stillhouse.data.text.tokens import FILE, Tokens
from stillhouse.deploy.preprocessing import Preprocessing
from stillhouse.errors import DataError, RunError
from stillhouse.models.calling import run_on
from stillhouse.models.family import TokenFacts
from stillhouse.models.outputs import LOGITS, named_outputs


class Sentences(Preprocessing):
    """What a program of sentences takes: int64 [B, 2, length], tokens over their mask.

    Args:
        length: tokens of a row, to which texts are cut and filled.
        pad: id of the filling.
        vocabulary: how many tokens there are.
        causal: whether the program tells the next token of a text, and not its class.
        tokenizer: the file of the tokeniser in the folder.
    """

    pixels: bool = False
    channels: int = 2
    height: int = 1
    width: int = 1
    size: tuple[int, int] = (1, 1)
    length: int
    pad: int
    vocabulary: int
    causal: bool = False
    tokenizer: str = FILE
    _tokens: Tokens | None = PrivateAttr(default=None)

    @property
    def noun(self) -> str:
        """What its program takes."""
        return "tokens"

    @property
    def row(self) -> str:
        """What one row is called."""
        return "text"

    @property
    def tokens(self) -> Tokens:
        """The tokeniser of the folder. Raises DataError where none was opened."""
        if self._tokens is None:
            raise DataError("the tokeniser was not read; open the folder (stillhouse.load)")
        return self._tokens

    @property
    def facts(self) -> TokenFacts:
        """What a network is built with."""
        return TokenFacts(self.vocabulary, self.length, self.pad, self.causal)

    def opened(self, folder: Path) -> "Sentences":
        """The same with the tokeniser of a folder.

        Raises:
            RunError: it is not there.
        """
        file = folder / Path(self.tokenizer).name
        if not file.is_file():
            raise RunError(f"{file} is missing; take the folder anew from its run")
        self._tokens = Tokens(file.read_text(encoding="utf-8"), self.length, self.pad)
        return self

    def of(self, image: Any, where: str = "") -> Tensor:
        """A text as tokens and mask, int64 [2, length].

        Raises:
            DataError: it is no text, or an empty one.
        """
        if not isinstance(image, str) or not image.strip():
            what = "is empty" if isinstance(image, str) else f"is a {type(image).__name__}"
            named = f"{where}: " if where else ""
            raise DataError(f"{named}a text {what}; give words")
        if not image.isascii() and any("\ud800" <= letter <= "\udfff" for letter in image):
            raise DataError(f"{where or repr(image)}: a text is not UTF-8; write it so")
        if self.causal:  # its last tokens, without an end: the next one is asked for
            ids = self.tokens.tokenizer.encode(image, add_special_tokens=False).ids
            return packed([ids[-self.length :]], self.length, self.pad)[0]
        rows, lengths, _ = self.tokens.rows([image])
        return packed([rows[0, : int(lengths[0])].tolist()], self.length, self.pad)[0]


def packed(rows: list[list[int]], length: int, pad: int) -> Tensor:
    """Tokens over their mask, int64 [B, 2, length].

    >>> packed([[5, 6]], 3, 0).tolist()
    [[[5, 6, 0], [1, 1, 0]]]
    """
    made = torch.zeros(len(rows), 2, length, dtype=torch.int64)
    made[:, 0] = pad
    for at, ids in enumerate(rows):
        made[at, 0, : len(ids)] = torch.tensor(ids, dtype=torch.int64)
        made[at, 1, : len(ids)] = 1
    return made


class ReadySentences(nn.Module):
    """A network of sentences as a program of one input.

    Args:
        network: of ``input_ids`` and ``attention_mask``, in eval mode.
        causal: whether what counts is the answer at the last token of each row.

    Shapes:
        tokens: int64 [B, 2, length]; returns [B, D].
    """

    def __init__(self, network: nn.Module, *, causal: bool = False) -> None:
        super().__init__()
        self.network, self.causal = network, causal

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits: of the classes, or of the next token."""
        return self.answers(tokens[:, 0], tokens[:, 1])

    def answers(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The same of tokens and mask, [B, L] each, where L is at most the length."""
        given = run_on(self.network, {"input_ids": ids, "attention_mask": mask})
        logits = named_outputs(given)[LOGITS].float()
        if not self.causal:
            return logits
        last = (mask.sum(1) - 1).clamp_min(0)[:, None, None].expand(-1, 1, logits.shape[2])
        return logits.gather(1, last)[:, 0]


class TokensAndMask(nn.Module):
    """A program of sentences with an input for each, as files of ONNX have them.

    Shapes:
        input_ids, attention_mask: int64 [B, L]; returns [B, D].
    """

    def __init__(self, ready: ReadySentences) -> None:
        super().__init__()
        self.ready = ready

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits."""
        return self.ready.answers(input_ids, attention_mask)
