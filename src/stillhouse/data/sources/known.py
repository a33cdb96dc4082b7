"""Data sets by their public names: where each is had when there is no local folder of that name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillhouse.errors import DataError
from stillhouse.faults import first_line
from stillhouse.records.hub import asking_hub
from stillhouse.records.places import VARIABLE, located, looked_in


@dataclass(frozen=True)
class Known:
    """A public data set.

    Args:
        what: in a line.
        hub: its name on the Hugging Face hub; None: none that is known to be the same.
        torchvision: its class there, with ``train=`` and ``download=``; None without one.
        form: what a folder of it holds.
        note: what of the copy of the hub differs from how the set is told of.
    """

    what: str
    hub: str | None = None
    torchvision: str | None = None
    form: str = "parquet files (train-*.parquet, test-*.parquet)"
    note: str | None = None


CLASSES = "class folders, train/CLASS/*.jpg and test/CLASS/*.jpg"
KNOWN = {
    "cifar10": Known("60,000 colour images of 10 classes, 32 x 32", "uoft-cs/cifar10", "CIFAR10"),
    "cifar100": Known(
        "60,000 colour images of 100 classes, 32 x 32", "uoft-cs/cifar100", "CIFAR100"
    ),
    "mnist": Known("70,000 handwritten digits, grey, 28 x 28", "ylecun/mnist", "MNIST"),
    "fashion_mnist": Known(
        "70,000 articles of clothing, grey, 28 x 28",
        "zalando-datasets/fashion_mnist",
        "FashionMNIST",
    ),
    "sentence_polarity": Known(
        "10,662 sentences of film reviews, negative or positive",
        "cornell-movie-review-data/rotten_tomatoes",
        note="the hub has 8,530 train, 1,066 validation and 1,066 test sentences; a folder may be "
        "split otherwise",
    ),
    "flowers17": Known("1,360 photographs of 17 flowers (Oxford)", form=CLASSES),
    "bccd": Known(
        "364 images of blood cells with boxes", form="COCO folders (train/, val/, test/)"
    ),
    "lfw": Known("13,233 faces of 5,749 people, and pairs.csv", form="parquet files and pairs.csv"),
    "orl_faces": Known("400 faces of 40 people, grey, 92 x 112", form="a parquet file"),
    "imagenet": Known("1.28 million photographs of 1,000 classes (ILSVRC 2012)", form=CLASSES),
}
"""By name. Names of the hub are its canonical repositories; blank: none is known to be the same."""


def is_known(source: Any) -> bool:
    """Whether a source is the name of a public data set, and nothing local is called so.

    >>> is_known("no-such-set"), is_known("./cifar100")
    (False, False)
    """
    return isinstance(source, str) and source in KNOWN and not located(source).exists()


def of_hub(name: str, *, allow_download: bool = True) -> Any:
    """A `DatasetDict` of the hub, or (train, test) of torchvision; downloaded once, then cached.

    Raises:
        DataError: it cannot be had; what was looked for where, and what to do.
    """
    known, tried = KNOWN[name], list[str]()
    sources: list[tuple[str | None, str, Callable[[str], Any]]] = [
        (known.hub, "the Hugging Face hub (hf:{})", _load),
        (known.torchvision, "torchvision (datasets.{})", _torchvision),
    ]
    for called, where, load in sources:
        if called is None:
            continue
        place = where.format(called)
        if not allow_download:
            tried.append(f"{place} was not asked: a download is not allowed")
            continue
        try:
            return load(called)
        except Exception as error:  # network, hub, cache and formats each have their own
            tried.append(f"{place} does not give it ({first_line(error)})")
    raise DataError(absent(name, tried))


def absent(name: str, tried: list[str] | None = None) -> str:
    """What to say of a data set that is neither here nor had elsewhere.

    >>> print(absent("flowers17").split(" (")[0])
    the data set 'flowers17'
    """
    known = KNOWN[name]
    elsewhere = "; ".join(tried) if tried else "no public copy is known that can be downloaded"
    return (
        f"the data set '{name}' ({known.what}) is not here. Looked for: a folder '{name}' in "
        f"{looked_in()}; {elsewhere}. Put it, as {known.form}, into a folder '{name}', and set "
        f"{VARIABLE} to the folder around it; or give its path"
    )


@asking_hub()
def _load(hub: str) -> Any:
    import datasets

    return datasets.load_dataset(hub)


def _torchvision(name: str) -> tuple[Any, Any]:
    import torchvision

    made = getattr(torchvision.datasets, name)
    root = Path.home() / ".cache" / "stillhouse" / "data"
    return made(root, train=True, download=True), made(root, train=False, download=True)
