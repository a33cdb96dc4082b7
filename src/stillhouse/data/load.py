"""One call from what the user names to train, validation and test."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stillhouse.data.held_out import HeldOut, hold_out, is_asked
from stillhouse.data.listed_pairs import read_pairs
from stillhouse.data.open_set import OpenSet, pairs_of, split_by_person
from stillhouse.data.pairs_file import pairs_file
from stillhouse.data.pool import Pool
from stillhouse.data.sources.archives import ArchiveSettings
from stillhouse.data.sources.find import find, source_names
from stillhouse.data.sources.labelled_splits import SourceSplits, refuse_one_class
from stillhouse.data.split_tables import TEST, VALIDATION, Splits, marked
from stillhouse.data.splits import stratified_split
from stillhouse.data.tables import Table
from stillhouse.data.text.sources import read_texts
from stillhouse.errors import DataError
from stillhouse.verification.pairs import Pairs

__all__ = ["Splits", "load", "source_names"]


def load(
    source: str | Path | Splits | Any,
    *,
    image: str | int | None = None,
    label: str | int | None = None,
    validation: float | int = 0.1,
    test: float | int = 0.2,
    limit: int | None = None,
    split_seed: int = 0,
    allow_download: bool = True,
    labelled: bool = True,
    open_set: bool = False,
    unseen: float | int | Sequence[str] = 0,
    pairs: str | Path | None = None,
    folds: Sequence[int] | None = None,
    min_per_class: int = 1,
    reader: Callable[[Any], SourceSplits] | None = None,
    texts: bool = False,
    text: str | None = None,
    archives: ArchiveSettings | None = None,
) -> Splits:
    """Read a source, check it, and carve the splits that it does not have.

    First test is carved, then validation from the rest, then train is limited: so test does not
    depend on `validation`, and neither depends on `limit`. All three are stratified, or drawn by
    row where there are no labels. Splits that the source has of its own are taken as they are.

    Args:
        source: see `source_names()`; an existing `Splits` is given back (with `limit` applied).
        image: the column of the images, where several could be; of a Dataset the key or the
            position of the image in a sample.
        label: the same of the labels.
        validation: share (float) or number (int) of training rows for model selection; 0: none. In
            an open set of the people, two at least.
        test: share or number of rows to test on, where the source has no test split; 0: none. In
            an open set of the people, two at least.
        limit: train on at most so many rows, at least one of each class.
        split_seed: of the draws. Keep it when only the run's seed changes, otherwise runs have
            different test rows.
        allow_download: whether `hf:org/name`, or a public data set by its name, may be fetched.
        labelled: whether labels are read; without them a folder of images will do, the tables have
            labels `[N, 0]`, and there are no classes.
        open_set: validation and test are of people (classes) that train has none of, whose images
            are compared (`Splits.pairs`): for verification.
        unseen: a share or number of classes, or their names, that are held out of train, validation
            and test; all their images are `Splits.unseen`. In an open set they are who is tested.
        pairs: a file of the pairs that are tested, of an open set; relative to where we are or to
            the folder of the data. See `stillhouse.data.listed_pairs.read_pairs`.
        folds: the folds of that file that are tested; None: all.
        min_per_class: classes with fewer rows to train on are left out.
        reader: reads the source where its rows are no images, such as `read_boxes`.
        texts: rows are texts, and not images, see `stillhouse.data.text.sources.read_texts`.
        text: the column of the texts, where several could be.
        archives: of .tar archives: how they are shuffled, and copied from an object store.

    Returns:
        Three tables of one kind; the names of the classes; a fingerprint of all of it.

    Raises:
        DataError: the first defect that is found, with the file or row.

    >>> digits = load("digits")
    >>> len(digits.train), len(digits.validation), len(digits.test), len(digits.classes)
    (1294, 144, 359, 10)
    >>> known = load("digits", unseen=["3", "8"])
    >>> len(known.classes), len(known.unseen), len(known.pairs["unseen"])
    (8, 357, 63546)
    """
    if pairs is None and folds is not None:
        raise DataError(f"folds {list(folds)} are of a file of pairs; give it: pairs (data.pairs)")
    if pairs is not None and is_asked(unseen):
        raise DataError(
            "a file of pairs says who is tested, and so does unseen (data.pairs, data.unseen); "
            "give one of them"
        )
    if pairs is not None and not open_set:
        raise DataError(
            "pairs (data.pairs) are tested by task: verification; give that task, or leave them out"
        )
    if not labelled and (open_set or is_asked(unseen) or min_per_class > 1):
        raise DataError(
            "unseen, pairs and min_per_class choose by class, and without labels there is none "
            "(data.unseen, .pairs, .min_per_class): leave them out"
        )
    if isinstance(source, Splits):
        _refuse_other(source, open_set, held=bool(pairs) or is_asked(unseen) or min_per_class > 1)
        return source if limit is None else source.limited(limit, split_seed)
    if reader is not None:
        found = reader(source)
    elif texts:
        _refuse_of_images(image, is_asked(unseen) or open_set or min_per_class > 1)
        named = None if label is None else str(label)
        found = read_texts(source, text, named, labelled=labelled, allow_download=allow_download)
        refuse_one_class(found)
        if found.open_only is not None:
            raise DataError(found.open_only)
    else:
        found = find(
            source,
            image,
            label,
            allow_download,
            labelled=labelled,
            open_set=open_set,
            archives=archives,
        )
    refuse_one_class(found)  # of people, too
    draws = 3 * split_seed + TEST, 3 * split_seed + VALIDATION
    if open_set:
        pool = Pool(found)
        parts = split_by_person(
            pool,
            test=test,
            validation=validation,
            draws=draws,
            split_seed=split_seed,
            unseen=unseen,
            listed=None if pairs is None else read_pairs(pairs_file(pairs, source), pool, folds),
            least=min_per_class,
        )
        splits = _of_people(found, parts)
    else:
        held = hold_out(found, unseen, split_seed, min_per_class)
        splits = _of_classes(held, test, validation, draws, split_seed)
    return marked(splits) if limit is None else splits.limited(limit, split_seed)


def _refuse_of_images(image: str | int | None, chosen: bool) -> None:
    if image is not None:
        raise DataError("the task reads texts, and image (data.image) is a column of images; name "
                        "the column of texts: text (data.text)")  # fmt: skip
    if chosen:
        raise DataError("unseen and min_per_class (data.unseen, .min_per_class) choose classes of "
                        "images, and the task reads texts; leave them out")  # fmt: skip


def _of_people(found: SourceSplits, parts: OpenSet) -> Splits:
    return Splits(
        found.name,
        parts.train,
        parts.validation,
        parts.test,
        parts.people[: parts.known],
        "",
        (*found.notes, *parts.notes),
        people=parts.people,
        pairs=parts.pairs,
    )


def _of_classes(
    held: HeldOut,
    test: float | int,
    validation: float | int,
    draws: tuple[int, int],
    split_seed: int,
) -> Splits:
    found = held.source
    rest, tested = found.parts["train"], found.parts.get("test")
    if tested is None:
        rest, tested = _carve(rest, test, draws[0], "test", found.classes)
    validated = found.parts.get("validation")
    if validated is None:
        rest, validated = _carve(rest, validation, draws[1], "validation", found.classes)
        if len(validated) > len(rest):
            raise DataError(
                f"validation = {validation} takes {len(validated)} rows and leaves {len(rest)} to "
                "train on; it must not be larger than train: ask for less"
            )
    notes, compared = list(found.notes), dict[str, Pairs]()
    if held.unseen is not None:
        compared["unseen"] = pairs_of(held.unseen, "unseen", split_seed, notes)
    return Splits(
        found.name,
        rest,
        validated,
        tested,
        found.classes,
        "",
        tuple(notes),
        people=held.people,
        unseen=held.unseen,
        pairs=compared,
    )


def _refuse_other(given: Splits, open_set: bool, *, held: bool) -> None:
    """What was split already is taken as it is."""
    if given.open_set != open_set:
        kinds = "of an open set (of people)", "of one set of classes"
        has, wants = kinds if given.open_set else kinds[::-1]
        raise DataError(
            f"the Splits that were given are {has}, and the task wants splits {wants}; make them "
            f"by load(..., open_set={open_set})"
        )
    if held:
        raise DataError(
            "Splits were given, whose rows are chosen already: unseen, pairs and min_per_class are "
            "settings of load(...); leave them out here"
        )


def _carve(
    table: Table, part: float | int, seed: int, what: str, classes: Sequence[str]
) -> tuple[Table, Table]:
    kept, carved = stratified_split(table.labels, part, seed, what=what, classes=classes)
    return table.take(kept), table.take(carved)
