"""Fit: a stage trained for its budget, with validation, checkpoints and metrics."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from stillhouse.data.batches import BatchSource
from stillhouse.data.loaders import Data, batches_of
from stillhouse.engine.epochs import Epochs, FitResult
from stillhouse.engine.evaluate import Scores, evaluate
from stillhouse.engine.fit_identity import fit_beginning, fit_identity
from stillhouse.engine.observer import NullObserver, Observer
from stillhouse.engine.platform import Platform, open_platform
from stillhouse.engine.resuming import Resuming
from stillhouse.engine.seeding import seeded
from stillhouse.engine.selection import check_validated
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings, Weights, opened, training
from stillhouse.errors import WiringError

__all__ = ["FitResult", "fit", "score"]


def fit(
    stage: Stage,
    train: Data,
    validation: Data | None = None,
    *,
    epochs: int | None = None,
    batch_size: int = 64,
    settings: Settings | None = None,
    platform: Platform | None = None,
    directory: Path | str | None = None,
    identity: str = "",
    about: Mapping[str, Any] | None = None,
    observer: Observer | None = None,
    keep_finished: bool = True,
) -> FitResult:
    """Train a stage for its budget, or go on where a stopped fit was, or find it finished.

    Args:
        stage: what the method composed.
        train: a Dataset of (image, label) or of mappings, a DataLoader of such batches, or one of
            our tables or `Batches`.
        validation: likewise; scored after each epoch, and diagnostics are read off it.
        epochs: passes over the training data, instead of those of the settings.
        batch_size: of a Dataset or a table; a DataLoader and `Batches` have their own. Each epoch
            shows as many whole batches as there are, in a new order; the rows that are left over in
            one epoch come in another.
        settings: budget and rules; `Settings()` where they are left out.
        platform: device, precision, processes; chosen by what is there where it is left out.
        directory: for checkpoints and metrics.jsonl; None keeps both in memory only.
        identity: fingerprint of everything that decides the result; a checkpoint of another one is
            refused. Where it is left out, it is made of the stage, the settings and the number of
            batches.
        about: added to each line of metrics.
        observer: hears of steps and epochs.
        keep_finished: whether the checkpoint stays when all epochs are done, so that the same call
            gives the same result again without training; of no use to those who keep the result.

    Returns:
        The weights of the last and of the best epoch, and the history. The networks of the stage
        hold the last weights.

    Raises:
        DataError: the data are none of these.
        WiringError: the stage does not fit together; nothing was run.
        NonFiniteLoss: a term became nan or inf; the last good checkpoint is kept.
        RunError: the checkpoint is damaged, belongs to another fit or is that of a finished one
            which began with other weights or data; or the value that was waited for never came.

    >>> import torch
    >>> from torch import nn
    >>> from torch.utils.data import TensorDataset
    >>> from stillhouse.methods import plain
    >>> data = TensorDataset(torch.randn(32, 4), torch.tensor([0, 1] * 16))
    >>> fitted = fit(plain(nn.Linear(4, 2)), data, validation=data, epochs=2, batch_size=8)
    >>> len(fitted.history), sorted(fitted.history[-1]["validation"]["student"])
    (2, ['accuracy', 'loss'])
    """
    given: object = stage
    if not isinstance(given, Stage):
        said = f"a fit trains a stage, what a method gives; this is {given!r:.60}"
        raise WiringError("fit", [said])
    if train is None:
        raise WiringError("fit", ["there are no training data; give a Dataset or a DataLoader"])
    settings = settings or Settings()
    if epochs is not None:
        settings = replace(settings, epochs=epochs)
    check_validated(settings, validated=validation is not None)
    platform = platform or open_platform()
    served = [
        None if data is None else batches_of(
            data, batch_size=batch_size, seed=settings.seed, device=platform.device,
            rank=platform.rank, world=platform.world,
        )
        for data in (train, validation)
    ]  # fmt: skip
    learnt, scored = served
    assert learnt is not None  # noqa: S101  (train is never None)
    with (
        seeded(settings.seed, "fit"),
        training(stage, learnt, settings, platform) as trainer,
    ):
        place = Path(directory) if directory else None
        known = identity or fit_identity(trainer.objective.stage, settings, len(learnt))
        begun = "" if identity or place is None else fit_beginning(trainer.objective.stage, learnt)
        files, hears = Resuming(trainer, place, known, begun), observer or NullObserver()
        run = Epochs(trainer, scored, files, about or {}, hears, keep_finished=keep_finished)
        return run.through()


def score(
    stage: Stage,
    weights: Weights,
    train: BatchSource,
    table: BatchSource,
    settings: Settings,
    platform: Platform,
) -> Scores:
    """Score a stage with these weights on a table; ``train`` sizes its bridges as in the fit."""
    with seeded(settings.seed, "fit"), opened(stage, train, settings, platform) as objective:
        objective.load_weights(weights)
        return evaluate(objective, table, platform)
