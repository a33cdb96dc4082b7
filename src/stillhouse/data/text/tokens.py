"""Tokens: a tokeniser that was given, or trained on the training texts, and how it is applied."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from stillhouse.errors import DataError, MissingExtra
from stillhouse.faults import first_line
from stillhouse.records.places import located

FILE = "tokenizer.json"
KINDS = ("bpe", "wordpiece")
Kind = Literal["bpe", "wordpiece"]
PADS = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>", "<|end_of_text|>", "</s>", "<unk>", "[UNK]")
ENDS = ("</s>", "<|endoftext|>", "<|end_of_text|>", "<|im_end|>", "[SEP]", "<eos>")
SPECIAL = {
    "wordpiece": ("[PAD]", "[UNK]", "[CLS]", "[SEP]"),
    "bpe": ("<pad>", "<unk>", "<s>", "</s>"),
}
"""Special tokens of tokenisers that are trained here: filling, unknown, begin, end."""


def library(what: str) -> Any:
    """The package `tokenizers`.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import tokenizers
    except ModuleNotFoundError as absent:
        if absent.name != "tokenizers":
            raise
        raise MissingExtra(what, "text", "tokenizers") from absent
    return tokenizers


@dataclass(frozen=True)
class Tokens:
    """A tokeniser and the length to which texts are cut and filled.

    Args:
        content: of its tokenizer.json.
        max_length: tokens of a row.
        pad: id of the filling.
    """

    content: str
    max_length: int
    pad: int

    @cached_property
    def tokenizer(self) -> Any:
        """The tokeniser of the package `tokenizers`."""
        made = library("a tokeniser").Tokenizer.from_str(self.content)
        made.no_padding()
        made.no_truncation()
        return made

    @cached_property
    def vocabulary(self) -> int:
        """One more than the largest id: how many tokens there are, where none is left out."""
        known = self.tokenizer.get_vocab(with_added_tokens=True)
        return 1 + max(known.values(), default=-1)

    @property
    def names(self) -> tuple[str, ...]:
        """What each token is called, by its id."""
        known = self.tokenizer.get_vocab(with_added_tokens=True)
        found = {at: name for name, at in known.items()}
        return tuple(found.get(at, f"({at})") for at in range(self.vocabulary))

    @property
    def end(self) -> int | None:
        """Id of the token that ends a text; None where it has none."""
        found = (self.tokenizer.token_to_id(name) for name in ENDS)
        return next((at for at in found if at is not None), None)

    @property
    def mark(self) -> str:
        """A short fingerprint."""
        said = f"{self.content}{self.max_length} {self.pad}"
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def rows(self, texts: Sequence[str]) -> tuple[Tensor, Tensor, int]:
        """Tokens of each text, cut to the length; how many are no filling; and how many were cut.

        Shapes:
            [N, max_length] int32, [N] int64.
        """
        made = library("a tokeniser").Tokenizer.from_str(self.content)
        made.no_padding()
        made.no_truncation()
        cut = sum(len(each.ids) > self.max_length for each in made.encode_batch(list(texts)))
        made.enable_truncation(self.max_length)  # which keeps the tokens of begin and end
        found = [each.ids for each in made.encode_batch(list(texts))]
        ids = torch.full((len(texts), self.max_length), self.pad, dtype=torch.int32)
        for row, each in enumerate(found):
            ids[row, : len(each)] = torch.tensor(each, dtype=torch.int32)
        return ids, torch.tensor([len(each) for each in found], dtype=torch.int64), cut

    def passages(self, texts: Sequence[str]) -> tuple[Tensor, int]:
        """All texts as one, each with an end behind it, cut into rows; and the tokens left over.

        Shapes:
            [N, max_length] int32.
        """
        behind = [] if self.end is None else [self.end]
        found = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        whole = torch.tensor([at for each in found for at in (*each.ids, *behind)])
        rows = len(whole) // self.max_length
        kept = whole[: rows * self.max_length].to(torch.int32)
        return kept.view(rows, self.max_length), len(whole) - len(kept)


def given_tokens(
    place: str, max_length: int, *, key: str = "data.tokens.tokenizer", or_kind: bool = True
) -> Tokens:
    """The tokeniser in a file, or in a folder of a model of transformers.

    Args:
        place: the file or folder.
        max_length: tokens of a row.
        key: of a recipe that names it, for messages.
        or_kind: whether one could be trained instead.

    Raises:
        DataError: there is none, or it has no token to fill up with.
    """
    path = located(place)
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        there = f"the folder {path} has no {FILE}" if path.is_dir() else f"there is no '{place}'"
        trained = f", or train one: {' or '.join(KINDS)}" if or_kind else ""
        raise DataError(
            f"{key}: {there}; give a {FILE} or a folder that has one (transformers: "
            f"AutoTokenizer.from_pretrained(...).save_pretrained(FOLDER)){trained}"
        )
    try:
        content = file.read_text(encoding="utf-8")
        made = library("a tokeniser").Tokenizer.from_str(content)
    except MissingExtra:
        raise
    except Exception as error:  # of the package: a plain Exception
        raise DataError(f"{key}: {file} is no tokeniser ({first_line(error)})") from None
    return Tokens(content, max_length, _pad(made, file))


def _pad(made: Any, file: Path) -> int:
    beside = file.parent / "tokenizer_config.json"
    named: list[Any] = []
    if beside.is_file():
        try:
            told = json.loads(beside.read_text(encoding="utf-8"))
        except ValueError:
            told = {}
        named = [told.get("pad_token"), told.get("eos_token")] if isinstance(told, dict) else []
    named = [each.get("content") if isinstance(each, dict) else each for each in named]
    if made.padding is not None:
        return int(made.padding["pad_id"])
    for name in (*named, *PADS):
        found = made.token_to_id(name) if isinstance(name, str) else None
        if found is not None:
            return int(found)
    raise DataError(f"{file} has no token to fill up with, such as {PADS[0]}; add one to it")


def trained_tokens(
    texts: Iterable[str], kind: Kind, *, vocabulary: int, max_length: int, lowercase: bool
) -> Tokens:
    """A tokeniser that is trained on these texts: the same one for the same texts.

    'wordpiece': words cut as by BERT; 'bpe': byte-level pairs as by GPT-2, so that nothing is
    unknown. Both put a begin and an end around a text.

    Paper: Sennrich et al. 2016, arXiv 1508.07909 (BPE); Schuster and Nakajima 2012 (WordPiece).
    """
    kit, several = library(f"a {kind} tokeniser"), list(texts)
    pad, _, begin, end = SPECIAL[kind]
    clean = [kit.normalizers.NFKC(), *([kit.normalizers.Lowercase()] if lowercase else [])]
    normal = kit.normalizers.Sequence(clean)
    train = _wordpiece if kind == "wordpiece" else _bpe
    made = train(kit, several, normal, vocabulary)
    made.add_special_tokens(list(SPECIAL[kind]))
    made.post_processor = kit.processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        special_tokens=[(name, made.token_to_id(name)) for name in (begin, end)],
    )
    return Tokens(made.to_str(), max_length, made.token_to_id(pad))


def _bpe(kit: Any, texts: list[str], normal: Any, vocabulary: int) -> Any:
    made = kit.Tokenizer(kit.models.BPE(unk_token=SPECIAL["bpe"][1]))
    made.normalizer = normal
    made.pre_tokenizer = kit.pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.decoder = kit.decoders.ByteLevel()
    trainer = kit.trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL["bpe"]),
        initial_alphabet=sorted(kit.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    return made


def _wordpiece(kit: Any, texts: list[str], normal: Any, vocabulary: int) -> Any:
    """The same tokens for the same texts, which the package alone does not promise.

    It numbers the letters in the order of a hash map and breaks ties between pairs by number. So
    all letters are given to it beforehand, and what it made is put into a tokeniser without them.
    """
    unknown, cut = SPECIAL["wordpiece"][1], kit.pre_tokenizers.BertPreTokenizer()
    letters = sorted({letter for text in texts for letter in normal.normalize_str(text)
                      if not letter.isspace()})  # fmt: skip
    known = [*SPECIAL["wordpiece"], *letters, *(f"##{letter}" for letter in letters)]
    learns = kit.Tokenizer(kit.models.WordPiece(unk_token=unknown))
    learns.normalizer, learns.pre_tokenizer = normal, cut
    trainer = kit.trainers.WordPieceTrainer(
        vocab_size=max(vocabulary, len(known)), special_tokens=known, show_progress=False
    )
    learns.train_from_iterator(texts, trainer)
    made = kit.Tokenizer(kit.models.WordPiece(learns.get_vocab(), unk_token=unknown))
    made.normalizer, made.pre_tokenizer = normal, cut
    made.decoder = kit.decoders.WordPiece()
    return made
