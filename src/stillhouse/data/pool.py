"""All rows of a source as one, whatever split they lie in: what is chosen by class cuts across."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from stillhouse.data.sources.labelled_splits import SourceSplits
from stillhouse.data.tables import (
    ImageTable,
    Samples,
    SampleTable,
    Table,
    fingerprint_of,
    is_decoded_here,
)


class Pool:
    """The rows of all splits of a source, numbered through: train, validation, test.

    Args:
        source: what was read.

    >>> images = torch.zeros(3, 1, 1, 1, dtype=torch.uint8)
    >>> parts = {"train": ImageTable(images, torch.tensor([0, 1, 1])),
    ...          "test": ImageTable(images[:1], torch.tensor([1]))}
    >>> pool = Pool(SourceSplits("two", parts, ("ann", "bob")))
    >>> pool.label.tolist(), pool.rows("test").tolist(), pool.image_name(3)
    ([0, 1, 1, 1], [3], 'test/0')
    """

    def __init__(self, source: SourceSplits) -> None:
        self.source, self.parts = source, source.parts
        self.starts: dict[str, int] = {}
        end = 0
        for split, table in self.parts.items():
            self.starts[split] = end
            end += len(table)
        self.label = torch.cat([table.labels for table in self.parts.values()])

    def __len__(self) -> int:
        return len(self.label)

    def rows(self, split: str) -> Tensor:
        """The rows of a split; none where the source has not got it."""
        start = self.starts.get(split, 0)
        count = len(self.parts[split]) if split in self.parts else 0
        return torch.arange(start, start + count)

    def of(self, classes: Sequence[int]) -> Tensor:
        """The rows of these classes, in all splits."""
        return torch.isin(self.label, torch.tensor(classes, dtype=torch.int64)).nonzero()[:, 0]

    def table(self, rows: Tensor, number: Mapping[int, int]) -> Table:
        """These rows as a table.

        Args:
            rows: in rising order.
            number: class -> the label that it gets.
        """
        taken = []
        for split, start in self.starts.items():
            inside = rows[(rows >= start) & (rows < start + len(self.parts[split]))]
            if len(inside) or (split == "train" and not len(rows)):
                taken.append(self.parts[split].take(inside - start))
        anew = torch.full((len(self.source.classes),), -1)
        anew[list(number)] = torch.tensor(list(number.values()), dtype=torch.int64)
        return replace(joined(taken), labels=anew[self.label[rows]])

    def image_name(self, row: int) -> str:
        """What the source calls an image; its row, below its split where there are several."""
        split = next(each for each in reversed(self.starts) if self.starts[each] <= row)
        local = row - self.starts[split]
        named = self.source.image_name(split, local)
        return named if len(self.parts) == 1 or named != str(local) else f"{split}/{named}"


def joined(tables: Sequence[Table]) -> Table:
    """Tables of one kind, one after the other.

    >>> table = SampleTable(["a", "b"], torch.tensor([0, 1]), torch.tensor([0, 1]))
    >>> both = joined([table, SampleTable(["c"], torch.tensor([2]), torch.tensor([0]))])
    >>> both.labels.tolist(), both.dataset[2]
    ([0, 1, 2], 'c')
    """
    if len(tables) == 1:
        return tables[0]
    labels = torch.cat([table.labels for table in tables])
    first, kept = tables[0], [each for each in tables if isinstance(each, ImageTable)]
    if isinstance(first, ImageTable):  # all of them: a source decodes all splits or none
        return replace(first, images=torch.cat([each.images for each in kept]), labels=labels)
    read = [each for each in tables if isinstance(each, SampleTable)]
    samples = JoinedSamples([each.dataset for each in read])
    rows = [each.rows + start for each, start in zip(read, samples.starts, strict=True)]
    return SampleTable(samples, labels, torch.cat(rows))


class JoinedSamples:
    """Map-style datasets one after the other, as one that says of itself what they say."""

    def __init__(self, several: Sequence[Samples]) -> None:
        self.several = several
        ends = torch.tensor([len(each) for each in several]).cumsum(0).tolist()
        self.starts, self.end = [0, *ends[:-1]], ends[-1]
        self.decoded_here = all(map(is_decoded_here, several))
        for said in ("unfit", "differ"):
            found = (getattr(each, said, None) for each in several)
            setattr(self, said, next((each for each in found if each is not None), None))

    def __len__(self) -> int:
        return int(self.end)

    def __getitem__(self, row: int) -> Any:
        at = next(at for at in reversed(range(len(self.several))) if self.starts[at] <= row)
        return self.several[at][row - self.starts[at]]

    def fingerprint(self) -> str:
        """What all of them say."""
        return " ".join(fingerprint_of(each, [0, len(each) - 1]) for each in self.several)
