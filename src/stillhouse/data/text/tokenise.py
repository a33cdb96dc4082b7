"""The texts of a data set as tokens: one tokeniser for all splits, trained on those of training."""

from dataclasses import dataclass, replace

import torch

from stillhouse.data.split_tables import Splits, marked
from stillhouse.data.tables import Table
from stillhouse.data.text.table import PassageTable, TextTable, TokenTable
from stillhouse.data.text.tokens import KINDS, Tokens, given_tokens, trained_tokens
from stillhouse.errors import DataError


@dataclass(frozen=True)
class TokenSettings:
    """How texts become tokens.

    Args:
        tokenizer: 'bpe' or 'wordpiece', trained on the training texts; or a file, or a folder.
        vocabulary: tokens of one that is trained.
        max_length: tokens of a row.
        lowercase: whether one that is trained makes no difference between A and a.
        teacher: the teacher's own tokeniser, a file or a folder; None: the same one.
    """

    tokenizer: str = "wordpiece"
    vocabulary: int = 8000
    max_length: int = 64
    lowercase: bool = False
    teacher: str | None = None


def tokenised(splits: Splits, settings: TokenSettings, *, passages: bool = False) -> Splits:
    """The same rows as tokens; of a language model passages of the running text of each split.

    What is cut off is counted in the notes.

    Raises:
        DataError: there is no such tokeniser, or a split is shorter than one passage.
        MissingExtra: tokenizers is not installed.
    """
    train = _texts(splits.train if splits.whole is None else splits.whole)
    if settings.tokenizer in KINDS:
        tokens = trained_tokens(
            train.texts.tolist(),
            "bpe" if settings.tokenizer == "bpe" else "wordpiece",
            vocabulary=settings.vocabulary,
            max_length=settings.max_length,
            lowercase=settings.lowercase,
        )
    else:
        tokens = given_tokens(settings.tokenizer, settings.max_length)
    if passages and settings.teacher is not None:
        raise DataError(
            "a language model and its teacher are compared token by token, so both read one "
            "tokeniser; leave tokens.teacher out, and give tokens.tokenizer that of the teacher"
        )
    theirs = None
    if settings.teacher is not None:
        theirs = given_tokens(
            settings.teacher, settings.max_length, key="data.tokens.teacher", or_kind=False
        )
    notes: list[str] = []

    def change(table: Table, name: str) -> Table:
        if passages:
            return _passages(_texts(table), tokens, name, notes)
        return _tokens(_texts(table), tokens, theirs, name, notes)

    made = replace(
        splits,
        train=change(splits.train, "train"),
        validation=change(splits.validation, "validation"),
        test=change(splits.test, "test"),
        whole=None if splits.whole is None else change(splits.whole, "all of train"),
        classes=tokens.names if passages else splits.classes,
        people=(),
        notes=(*splits.notes, *notes),
    )
    return marked(made)


def _texts(table: Table) -> TextTable:
    if not isinstance(table, TextTable):
        raise DataError("the rows of these data are no texts, and the task reads texts")
    return table


def _tokens(
    table: TextTable, tokens: Tokens, theirs: Tokens | None, name: str, notes: list[str]
) -> TokenTable:
    ids, lengths, cut = tokens.rows(table.texts.tolist())
    made = TokenTable(table.labels, ids, lengths, tokens)
    if theirs is not None:
        other, their_lengths, also = theirs.rows(table.texts.tolist())
        made = replace(
            made, teacher_ids=other, teacher_lengths=their_lengths, teacher_tokens=theirs
        )
        cut = max(cut, also)
    if cut:
        notes.append(
            f"{cut:,} of {len(table):,} texts of {name} are longer than {tokens.max_length} tokens "
            "and are cut (data.tokens.max_length)"
        )
    return made


def _passages(table: TextTable, tokens: Tokens, name: str, notes: list[str]) -> PassageTable:
    ids, left = tokens.passages(table.texts.tolist())
    if not len(ids) and len(table):
        raise DataError(
            f"{name} has {left:,} tokens, and a passage is {tokens.max_length} long "
            "(data.tokens.max_length); give more texts, or shorter passages"
        )
    if left:
        notes.append(f"the last {left:,} tokens of {name} fill no passage and are left out")
    return PassageTable(torch.zeros(len(ids), 0), ids, tokens)
