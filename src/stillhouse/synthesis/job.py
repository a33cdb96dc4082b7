"""The job: from a trained classifier to a directory that any recipe takes as its data."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.data.sources.synthesis import (
    ASKED_FOR,
    BETA,
    IMAGE,
    LABEL,
    LOGITS,
    MANIFEST,
    ROWS,
    SECONDS,
    STEPS,
    TARGET,
    TEST,
    present,
    read_file,
    read_json,
)
from stillhouse.data.tables import FloatTable
from stillhouse.engine.observer import NullObserver, Observer
from stillhouse.engine.platform import Platform, Precision, open_platform
from stillhouse.errors import DataError, RecipeError
from stillhouse.faults import system_faults
from stillhouse.models import weights_fingerprint
from stillhouse.records.environment import torch_version
from stillhouse.records.writable import check_writable
from stillhouse.synthesis import store
from stillhouse.synthesis.balance import count_rows
from stillhouse.synthesis.catalogue import make_maker
from stillhouse.synthesis.maker import MakeBatch, Maker, Request
from stillhouse.synthesis.session import batches_kept
from stillhouse.synthesis.targets import NO_CLASS, Targets
from stillhouse.synthesis.teacher import FrozenTeacher, frozen_teacher

WORK = "work"
"""Folder of what a method keeps for itself, such as a generator on its way."""
LABELLING = 512
"""Images that the teacher labels at once."""


@dataclass(frozen=True)
class Synthesis:
    """A finished synthesis.

    Args:
        directory: its files; `stillhouse.data.load` and the ``data:`` of a recipe take it.
        manifest: the content of synthesis.json: what was asked, balance, seconds, fingerprint.
    """

    directory: Path
    manifest: Mapping[str, Any]

    @property
    def balance(self) -> Mapping[str, Any]:
        """What the teacher says of the images, counted."""
        found: Mapping[str, Any] = self.manifest["balance"]
        return found

    @property
    def images_per_second(self) -> float:
        """Images made per second, over all runs that made some."""
        return float(self.manifest["images_per_second"])


@system_faults()
def synthesize(
    teacher: nn.Module,
    *,
    method: str | Mapping[str, Any] | Maker = "zero_shot",
    count: int,
    image_shape: Sequence[int],
    out: str | Path,
    seed: int = 0,
    mean: Sequence[float] = (0.0,),
    std: Sequence[float] = (1.0,),
    classes: Sequence[str] | None = None,
    test: Batches | tuple[Tensor, Tensor] | None = None,
    device: str = "auto",
    precision: Precision = "fp32",
    platform: Platform | None = None,
    observer: Observer | None = None,
) -> Synthesis:
    """Make a transfer set from a trained classifier alone.

    The directory is an ordinary data set of float images: a recipe names it as ``data:``. A
    synthesis that was stopped goes on where it was and loses at most the batch in flight; asked for
    more images, it adds to those that are there (unless images of a batch depend on each other).
    Of several processes the main one makes the images, and the others wait for them.

    Args:
        teacher: gives logits; left as it was.
        method: a name (`synthesis_names`), ``{'name': ..., setting: ...}``, or a `Maker`.
        count: how many images.
        image_shape: channels, height, width of what the teacher takes.
        out: the directory.
        seed: of everything that is drawn.
        mean, std: how the teacher's images were normalised. Used where a method speaks of pixels in
            [0, 1]: noise, unrelated images, clipping. Not used by `zero_shot`.
        classes: their names; numbers when not given.
        test: real images to test students on, as the teacher takes them: batches, or images
            [N, C, H, W] and labels [N]. Stored beside; never looked at.
        device: where to make them.
        precision: of the teacher while images are made; 'fp32' is exact, 'bf16' is faster where the
            hardware has it. Labels are always made in float32.
        platform: instead of device and precision, where there is one already.
        observer: hears of batches.

    Raises:
        ModelError: the teacher gives probabilities, fails on this shape, has no linear head, or no
            batch norm where the method needs it. Nothing was made then.
        RecipeError: no such method or setting.
        RunError: the directory is in the way.
        DataError: a file of it is damaged; nothing is made then.
    """
    maker, folder = make_maker(method), Path(out)
    maker.check_count(count)
    if not (folder / MANIFEST).is_file():
        check_writable(folder, store.CLAIM.elsewhere)
    platform = platform or open_platform(device=device, precision=precision)
    with frozen_teacher(teacher, image_shape, platform.alone, mean=mean, std=std) as frozen:
        maker.check(frozen)
        names = _class_names(classes, frozen.classes)
        tested = _test_table(test, frozen)
        asked = _asked(maker, frozen, count, seed, names, tested)

        def make() -> Mapping[str, Any]:
            found = store.finished(folder, asked, count)
            if found is not None:
                return found
            with store.claimed(folder, asked):
                _write_test(folder, tested)
                _make_all(maker, frozen, folder, count, seed, observer or NullObserver())
                return _finish(maker, frozen, folder, asked, count)

        return Synthesis(folder, platform.by_main(make) or read_json(folder / MANIFEST))


def _asked(
    maker: Maker,
    teacher: FrozenTeacher,
    count: int,
    seed: int,
    names: Sequence[str],
    tested: FloatTable | None,
) -> dict[str, Any]:
    """What decides every value: a directory belongs to it."""
    asked: dict[str, Any] = {
        "method": maker.name,
        "settings": dict(maker.settings),
        "teacher": {
            "kind": type(teacher.module).__name__,
            "weights": weights_fingerprint(teacher.module),
        },
        "image_shape": list(teacher.image_shape),
        "mean": list(teacher.mean),
        "std": list(teacher.std),
        "classes": list(names),
        "seed": seed,
        "precision": teacher.platform.precision,
        "torch": torch_version(),
        "test": None if tested is None else tested.fingerprint(),
    }
    if maker.coupled or maker.chained:
        asked |= {"count": count, "batch": maker.batch}
    return asked


def _make_all(
    maker: Maker, teacher: FrozenTeacher, folder: Path, count: int, seed: int, observer: Observer
) -> None:
    """Make what is not there yet."""
    targets = maker.targets(teacher, count, seed)
    runs = store.missing(folder, ROWS, count, maker.rows_at_once(teacher, targets))
    done = len(present(folder, ROWS))
    observer.begin(maker.name, done + len(runs), done)
    if not runs:
        return
    previous: Tensor | None = None
    began = time.perf_counter()
    with maker.opened(teacher, seed, folder / WORK) as make:
        ready = time.perf_counter() - began  # a generator is trained here
        for first, count_of_run in runs:
            if maker.chained and first and previous is None:
                previous = _images_of_batch_before(folder, first)
            request = _request(folder, targets, first, count_of_run, previous)
            with batches_kept(first):
                tensors = _make_and_label(make, request, teacher, ready)
            ready = 0.0
            store.write(folder, ROWS, first, tensors)
            previous = tensors[IMAGE] if maker.chained else None
            observer.step(count_of_run)


def _request(
    folder: Path, targets: Targets | None, first: int, count: int, previous: Tensor | None
) -> Request:
    rows = torch.arange(first, first + count)
    return Request(
        rows,
        None if targets is None else targets.take(rows),
        previous=None if previous is None else previous[:count],
        earlier=partial(_images_before, folder, first),
    )


def _images_of_batch_before(folder: Path, first: int) -> Tensor:
    """The images of the batch that ends before a row."""
    for run, path in present(folder, ROWS).items():
        if sum(run) == first:
            return read_file(path)[IMAGE]
    raise DataError(f"{folder} lacks the images before row {first}; delete it and begin again")


def _images_before(folder: Path, first: int) -> Tensor:
    """The images of all rows before a row."""
    found = [
        read_file(path)[IMAGE] for run, path in present(folder, ROWS).items() if run[0] < first
    ]
    if sum(len(images) for images in found) != first:
        raise DataError(f"{folder} lacks images before row {first}; delete it and begin again")
    return torch.cat(found)


def _make_and_label(
    make: MakeBatch, request: Request, teacher: FrozenTeacher, ready: float
) -> dict[str, Tensor]:
    """Make a batch, and ask the teacher about it in float32. Gives what is stored.

    ``ready``: seconds that went by before the first batch could be made; they are its own, too.
    """
    began = time.perf_counter()
    batch = make(request)
    images = batch.images.float().contiguous()
    with torch.no_grad():
        logits = torch.cat([teacher.module(part).float() for part in images.split(LABELLING)])
    logits = logits.cpu()
    count, targets = len(images), request.targets
    tensors = {
        IMAGE: images.cpu(),
        LABEL: logits.argmax(1),
        LOGITS: logits,
        STEPS: batch.steps,
        ASKED_FOR: torch.full((count,), NO_CLASS) if targets is None else targets.asked,
        SECONDS: torch.full((count,), (ready + time.perf_counter() - began) / count),
    }
    if targets is not None:
        tensors |= {TARGET: targets.probabilities, BETA: targets.beta}
    return tensors


def _finish(
    maker: Maker, teacher: FrozenTeacher, folder: Path, asked: Mapping[str, Any], count: int
) -> Mapping[str, Any]:
    """Read back what was made, count it, and write the manifest."""
    found = count_rows(folder, teacher.classes, maker.temperature, count)
    return store.finish(
        folder,
        {
            **asked,
            "count": count,
            "balance": found.balance,
            "seconds": round(found.seconds, 3),
            "images_per_second": round(count / max(found.seconds, 1e-9), 3),
            "files": {kind: store.listed(folder, kind) for kind in (ROWS, TEST)},
            **maker.about(teacher),
        },
    )


def _class_names(classes: Sequence[str] | None, count: int) -> tuple[str, ...]:
    names = tuple(str(number) for number in range(count)) if classes is None else tuple(classes)
    if len(names) != count:
        raise RecipeError("synthesis", [f"{len(names)} class names for {count} logits"])
    return names


def _test_table(
    test: Batches | tuple[Tensor, Tensor] | None, teacher: FrozenTeacher
) -> FloatTable | None:
    """Real images as the teacher takes them."""
    if test is None:
        return None
    if isinstance(test, Batches):
        served = [(batch["batch.image"].cpu(), batch["batch.label"].cpu()) for batch in test.once()]
        images = torch.cat([image for image, _ in served])
        labels = torch.cat([label for _, label in served])
    else:
        images, labels = test
    if tuple(images.shape[1:]) != teacher.image_shape or not images.is_floating_point():
        raise DataError(
            f"the test images are {images.dtype} {list(images.shape[1:])}; wanted are floats "
            f"{list(teacher.image_shape)}, as the teacher takes them"
        )
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < teacher.classes:
        raise DataError(f"the test labels are not all in 0..{teacher.classes - 1}")
    return FloatTable(images.float().permute(0, 2, 3, 1).contiguous(), labels.long())


def _write_test(folder: Path, tested: FloatTable | None) -> None:
    if tested is not None and not present(folder, TEST):
        image = tested.images.permute(0, 3, 1, 2)
        store.write(folder, TEST, 0, {IMAGE: image, LABEL: tested.labels})
