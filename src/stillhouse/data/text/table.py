"""Tables of texts: as they were read, as rows of tokens, and as passages of one running text."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from stillhouse.data.signal_table import SignalTable
from stillhouse.data.text.tokens import Tokens
from stillhouse.errors import DataError

IDS, MASK = "input_ids", "attention_mask"
TEACHER = "teacher_"


@dataclass(frozen=True, eq=False)
class TextTable(SignalTable):
    """Texts as they were read; a network is shown none before they are tokens.

    Args:
        labels: int64 [N], or [N, 0].
        texts: [N] of str.
    """

    texts: np.ndarray

    noun = "texts"
    signals = ()

    def take(self, rows: Tensor) -> "TextTable":
        """These texts, in this order."""
        return replace(self, labels=self.labels[rows], texts=self.texts[rows.numpy()])

    def fingerprint(self) -> str:
        """Sha256 of texts and labels."""
        digest = hashlib.sha256(f"texts {len(self.texts)}".encode())
        for text in self.texts.tolist():
            digest.update(text.encode() + b"\0")
        digest.update(self.labels.numpy().tobytes())
        return digest.hexdigest()

    def show(self, rows: Tensor, *, view: int, seed: int) -> dict[str, Tensor]:
        """Nothing. Raises DataError."""
        raise DataError("texts are no tensors; cut them into tokens (stillhouse.data.text)")


@dataclass(frozen=True, eq=False)
class TokenTable(SignalTable):
    """Sentences as tokens, each filled up to one length.

    Args:
        labels: int64 [N].
        ids: [N, L] int32.
        lengths: [N] int64, tokens of each that are none of the filling.
        tokens: how they were made.
        teacher_ids, teacher_lengths, teacher_tokens: the same sentences by the teacher's own
            tokeniser, where it has one.
    """

    ids: Tensor
    lengths: Tensor
    tokens: Tokens
    teacher_ids: Tensor | None = None
    teacher_lengths: Tensor | None = None
    teacher_tokens: Tokens | None = None

    noun = "sentences"

    @property
    def signals(self) -> tuple[str, ...]:
        """Tokens, mask and label; and the teacher's."""
        own = () if self.teacher_ids is None else (f"{TEACHER}{IDS}", f"{TEACHER}{MASK}")
        return (IDS, MASK, "label", *own)

    def take(self, rows: Tensor) -> "TokenTable":
        """These sentences, in this order."""
        given = (self.teacher_ids, self.teacher_lengths)
        theirs, their_lengths = (None if each is None else each[rows] for each in given)
        return replace(
            self,
            labels=self.labels[rows],
            ids=self.ids[rows],
            lengths=self.lengths[rows],
            teacher_ids=theirs,
            teacher_lengths=their_lengths,
        )

    def fingerprint(self) -> str:
        """Sha256 of tokens, lengths and labels."""
        digest = hashlib.sha256(f"tokens {list(self.ids.shape)}".encode())
        for each in (self.ids, self.lengths, self.labels, self.teacher_ids, self.teacher_lengths):
            digest.update(b"" if each is None else each.numpy().tobytes())
        return digest.hexdigest()

    def show(self, rows: Tensor, *, view: int, seed: int) -> dict[str, Tensor]:
        """Tokens [B, L] int64, mask [B, L] int64 (1: a token, 0: filling), labels."""
        shown = {**_filled(self.ids, self.lengths, rows), "label": self.labels[rows]}
        if self.teacher_ids is not None and self.teacher_lengths is not None:
            theirs = _filled(self.teacher_ids, self.teacher_lengths, rows)
            shown |= {f"{TEACHER}{name}": value for name, value in theirs.items()}
        return shown


def _filled(ids: Tensor, lengths: Tensor, rows: Tensor) -> dict[str, Tensor]:
    places = torch.arange(ids.shape[1])
    return {IDS: ids[rows].long(), MASK: (places < lengths[rows][:, None]).long()}


@dataclass(frozen=True, eq=False)
class PassageTable(SignalTable):
    """Running text cut into passages of one length, for language models: no token is filling.

    Args:
        labels: [N, 0].
        ids: [N, L] int32.
        tokens: how they were made.
    """

    ids: Tensor
    tokens: Tokens

    noun = "passages"
    evaluated = 32
    signals = (IDS, MASK, "label")

    def take(self, rows: Tensor) -> "PassageTable":
        """These passages, in this order."""
        return replace(self, labels=self.labels[rows], ids=self.ids[rows])

    def fingerprint(self) -> str:
        """Sha256 of the tokens."""
        digest = hashlib.sha256(f"passages {list(self.ids.shape)}".encode())
        digest.update(self.ids.numpy().tobytes())
        return digest.hexdigest()

    def show(self, rows: Tensor, *, view: int, seed: int) -> dict[str, Tensor]:
        """Tokens [B, L], a mask of ones, and the tokens again as labels (the task shifts them)."""
        ids = self.ids[rows].long()
        return {IDS: ids, MASK: torch.ones_like(ids), "label": ids.clone()}
