"""Splits by person: validation and test show people that training has none of (an open set)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from stillhouse.data.held_out import LEAST, chosen_classes, is_asked, large_enough, some
from stillhouse.data.listed_pairs import ListedPairs
from stillhouse.data.pool import Pool
from stillhouse.data.sources.labelled_splits import SPLITS
from stillhouse.data.splits import share_of, stratified_split
from stillhouse.data.tables import Table
from stillhouse.errors import DataError
from stillhouse.verification.drawn import drawn_pairs
from stillhouse.verification.pairs import Pairs


@dataclass(frozen=True)
class OpenSet:
    """Tables of different people, and which of their images are compared.

    Args:
        train, validation, test: their labels are numbers of ``people``.
        people: names; those of train come first.
        known: how many of them train has.
        pairs: of ``validation`` and of ``test``, in terms of their rows; a table without rows has
            none.
        notes: what was left out, for people.
    """

    train: Table
    validation: Table
    test: Table
    people: tuple[str, ...]
    known: int
    pairs: Mapping[str, Pairs]
    notes: tuple[str, ...]


def split_by_person(
    pool: Pool,
    *,
    test: float | int,
    validation: float | int,
    draws: tuple[int, int],
    split_seed: int,
    unseen: float | int | Sequence[str] = 0,
    listed: ListedPairs | None = None,
    least: int = 1,
) -> OpenSet:
    """Tables of different people.

    Who is tested: everybody in a listed pair; else who is ``unseen``; else the source's own test
    split; else so many people as ``test`` says. Whoever is tested is in no other table, with any
    image. Then people of validation are taken from the rest, and the others are trained on.

    Args:
        pool: all rows of a source.
        test, validation: a share (float; two people at least) or number (int) of people, where the
            source has no such split; 0: none.
        draws: seeds of the draws of test and of validation.
        split_seed: of the choice of ``unseen``, and of pairs where there are too many.
        unseen: who is tested: names, or a share or number of people.
        listed: the pairs that are tested.
        least: images that a person needs to be trained on.

    Raises:
        DataError: a person in two of the source's own splits; too few people, or images of one.
    """
    notes = _without_image(pool)
    own = {split: pool.rows(split) for split in SPLITS}
    chosen = listed is not None or is_asked(unseen)
    if listed is not None:
        tested = torch.unique(torch.from_numpy(np.append(listed.pairs.first, listed.pairs.second)))
        notes += _told(pool, listed, tested)
    elif chosen:
        tested = _unseen(pool, unseen, split_seed)
    elif len(own["test"]):
        tested = own["test"]
    else:
        tested = _drawn(pool, own["train"], test, draws[0], "test")
    if chosen or not len(own["test"]):
        own = _apart_from(pool, own, tested)
    if chosen and _both(pool, own["train"], own["validation"]):
        own["validation"] = own["validation"][:0]  # a split of images, as classifiers have it
    _refuse_both(pool, {**own, "test": tested})
    trained, validated = own["train"], own["validation"]
    if not len(validated):
        validated = _drawn(pool, trained, validation, draws[1], "validation")
        trained = _apart_from(pool, {"train": trained}, validated)["train"]
    for split, used in (("validation", torch.cat([validated, tested])), ("test", tested)):
        unused = int((~torch.isin(pool.rows(split), used)).sum())
        if unused:
            notes.append(f"{unused:,} other images of the source's own {split} split are not used")
    trained, said = _with_enough(pool, trained, least)
    return _numbered(pool, (trained, validated, tested), listed, split_seed, [*notes, *said])


def _people(pool: Pool, rows: Tensor) -> list[int]:
    found: list[int] = torch.unique(pool.label[rows]).tolist()
    return found


def _apart_from(pool: Pool, own: Mapping[str, Tensor], taken: Tensor) -> dict[str, Tensor]:
    """The rows without any image of the people who are in ``taken``."""
    who = torch.unique(pool.label[taken])
    return {split: rows[~torch.isin(pool.label[rows], who)] for split, rows in own.items()}


def _unseen(pool: Pool, unseen: float | int | Sequence[str], seed: int) -> Tensor:
    there = torch.unique(pool.label).tolist()
    names = [pool.source.classes[each] for each in there]
    chosen = chosen_classes(names, unseen, seed, what="people")
    return pool.of([there[at] for at in chosen])


def _drawn(pool: Pool, rows: Tensor, part: float | int, seed: int, what: str) -> Tensor:
    """The rows of so many people; those with one image give the same share of them as the others.

    Else a small draw might have nobody with two images, and no pair of one person.
    """
    who, counts = torch.unique(pool.label[rows], return_counts=True)
    small = isinstance(part, float) and 0 < part < 1 and part * len(who) < LEAST
    total = LEAST if small else share_of(part, len(who), what, "people")[1]
    if not total:
        return rows[:0]
    if total < LEAST or len(who) - total < LEAST:
        raise DataError(
            f"{what} = {part} takes {total} of {len(who)} people: images of different people are "
            f"compared, and the others are trained on; give {LEAST} to {len(who) - LEAST} ({LEAST} "
            "people on each side), or 0 for none"
        )
    several = (counts > 1).long()
    if min(int(several.sum()), len(several) - int(several.sum())) < LEAST:
        several = torch.zeros_like(several)
    chosen = who[stratified_split(several, total, seed, what=what)[1]]
    return rows[torch.isin(pool.label[rows], chosen)]


def _both(pool: Pool, one: Tensor, other: Tensor) -> list[int]:
    """Who is in both."""
    return sorted(set(_people(pool, one)) & set(_people(pool, other)))


def _refuse_both(pool: Pool, own: Mapping[str, Tensor]) -> None:
    """Each person is in one table."""
    for one, other in combinations(own, 2):
        both = _both(pool, own[one], own[other])
        if both:
            named, of = some([pool.source.classes[each] for each in both]), _people(pool, own[one])
            raise DataError(
                f"{len(both):,} of {len(of):,} people are in {one} and in {other}: {named}; "
                "verification is measured on people that training has none of: move each to one "
                "side, or hold people out of all splits by unseen: N (data.unseen)"
            )


def _with_enough(pool: Pool, rows: Tensor, least: int) -> tuple[Tensor, list[str]]:
    """The rows of people who have enough of them, and what to say of the others."""
    people = _people(pool, rows)
    kept = large_enough(pool.label[rows], least, len(pool.source.classes))
    if len(kept) < LEAST:
        most = int(torch.bincount(pool.label[rows]).max()) if len(rows) else 0
        asked = f" with {least} images or more (data.min_per_class)" if least > 1 else ""
        raise DataError(
            f"{len(kept)} of {len(people)} people are left to train on{asked}, and {LEAST} are "
            f"needed; the most images that one of them has is {most}"
        )
    inside = torch.isin(pool.label[rows], torch.tensor(kept))
    notes = []
    if len(kept) < len(people):
        notes.append(
            f"min_per_class {least}: {len(people) - len(kept):,} of {len(people):,} people, with "
            f"{int((~inside).sum()):,} images, are left out of training"
        )
    alone = int((torch.bincount(pool.label[rows[inside]]) == 1).sum())
    if alone:
        notes.append(f"{alone:,} of the {len(kept):,} people of training have one image")
    return rows[inside], notes


def _numbered(
    pool: Pool,
    parts: tuple[Tensor, Tensor, Tensor],
    listed: ListedPairs | None,
    seed: int,
    notes: list[str],
) -> OpenSet:
    """The tables with people numbered in the order train, validation, test."""
    groups = [_people(pool, rows) for rows in parts]
    order = [each for group in groups for each in group]
    number = {each: at for at, each in enumerate(order)}
    train, validation, test = (pool.table(rows, number) for rows in parts)
    pairs = {}
    for name, table in (("validation", validation), ("test", test)):
        if name == "test" and listed is not None:
            pairs[name] = _of_table(listed.pairs, parts[2])
        elif len(table):
            pairs[name] = pairs_of(table, name, seed, notes)
    people = tuple(pool.source.classes[each] for each in order)
    return OpenSet(train, validation, test, people, len(groups[0]), pairs, tuple(notes))


def pairs_of(table: Table, name: str, seed: int, notes: list[str]) -> Pairs:
    """All pairs of the images of a table, or as many as are compared; ``notes`` hears of that.

    Raises:
        DataError: no two images are of one person, or all are.
    """
    try:
        pairs, there = drawn_pairs(table.labels.numpy(), seed=seed)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    if len(pairs) < there:
        notes.append(f"{name}: {len(pairs):,} of {there:,} pairs are drawn to be compared")
    return pairs


def _of_table(pairs: Pairs, rows: Tensor) -> Pairs:
    at = rows.numpy()
    first, second = np.searchsorted(at, pairs.first), np.searchsorted(at, pairs.second)
    return Pairs(first, second, pairs.same, pairs.fold)


def _without_image(pool: Pool) -> list[str]:
    names, there = len(pool.source.classes), len(torch.unique(pool.label))
    return [f"{names - there:,} of the {names:,} named people have no image"] * (there < names)


def _told(pool: Pool, listed: ListedPairs, tested: Tensor) -> list[str]:
    people, pairs = _people(pool, tested), listed.pairs
    others = len(pool.of(people)) - len(tested)
    said = [
        f"{listed}: {len(tested):,} images of {len(people):,} people; {others:,} other images of "
        "these people are left out of training"
    ]
    if pairs.fold is not None:
        rows = torch.from_numpy(np.append(pairs.first, pairs.second))
        met = np.stack([pool.label[rows].numpy(), np.tile(pairs.fold, 2)])
        folds = np.unique(np.unique(met, axis=1)[0], return_counts=True)[1]
        if (folds > 1).any():
            said.append(
                f"{int((folds > 1).sum()):,} of {len(people):,} people are in pairs of several "
                "folds: the threshold of a fold is chosen on them, too, so the accuracy is too good"
            )
    return said
