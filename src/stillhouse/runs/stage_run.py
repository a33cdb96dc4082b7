"""One stage in its directory: run it, go on with it, or recognise that it is done."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from safetensors.torch import load_file

from stillhouse.engine.fit import CHECKPOINT, Fitted, Observer, fit
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings, Weights
from stillhouse.errors import RunError
from stillhouse.records.files import Reading, save_tensors
from stillhouse.records.fingerprint import file_hash
from stillhouse.records.run import STAGE, StageRecord
from stillhouse.runs.feeds import Feeds

LAST, BEST = "last", "best"


@dataclass(frozen=True)
class StageRun:
    """A finished stage.

    Args:
        directory: where its files are.
        keeps: the node that is its product.
        seconds: of training, without loading and scoring.
        reused: whether it was found finished.
    """

    directory: Path
    keeps: str
    best_epoch: int
    epochs: int
    seconds: float
    history: list[dict[str, Any]]
    reused: bool

    def weights(self, which: str) -> Weights:
        """The weights of each node that changed, 'last' or 'best'."""
        weights = {self.keeps: load_file(product_file(self.directory, self.keeps, which))}
        others = others_file(self.directory, which)
        if others.exists():
            for key, value in load_file(others).items():
                node, _, name = key.partition("/")
                weights.setdefault(node, {})[name] = value
        for node in StageRecord.read(self.directory / STAGE).nodes:
            weights.setdefault(node, {})
        return weights

    def validation(self, which: str) -> float | None:
        """Validation accuracy of the first measure, of the last or of the best epoch."""
        record = self.history[self.best_epoch - 1 if which == BEST else -1]
        scores = list(record["validation"].values())
        return float(scores[0]["accuracy"]) if scores else None

    @property
    def diagnostics(self) -> dict[str, Reading]:
        """What its diagnostics showed after the last epoch; empty when it had none."""
        return dict(self.history[-1].get("diagnostics", {}))


def product_file(directory: Path, keeps: str, which: str) -> Path:
    """``student.safetensors`` for the last epoch, ``student-best.safetensors`` for the best."""
    return directory / (f"{keeps}.safetensors" if which == LAST else f"{keeps}-best.safetensors")


def others_file(directory: Path, which: str) -> Path:
    """Weights of bridges and other nodes, which the product itself does not need."""
    return directory / ("others.safetensors" if which == LAST else "others-best.safetensors")


def run_stage(
    stage: Callable[[], Stage],
    feeds: Feeds,
    settings: Settings,
    directory: Path,
    *,
    identity: str,
    about: Mapping[str, Any],
    observer: Observer,
    views: int | None = None,
) -> StageRun:
    """Run a stage to its end, whatever was there before.

    A finished stage of the same identity is taken as it is; a stopped one goes on from its
    checkpoint; two runs that want the same one: the second waits for the first.

    Raises:
        RunError: the directory holds another stage, or a product was changed since.
    """
    platform = feeds.platform
    directory.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory / ".lock")
    if platform.main:
        lock.acquire()
    try:
        platform.wait()
        found = _finished(directory, identity)
        if found is not None:
            return found
        made = stage()
        fitted = fit(
            made,
            feeds.train(settings.seed, views),
            settings=settings,
            platform=platform,
            validation=feeds.validation,
            directory=directory,
            identity=identity,
            about=about,
            observer=observer,
        )
        if platform.main:
            _keep(directory, made.keeps, identity, fitted, about)
        platform.wait()
        return _of(fitted, directory, made.keeps)
    finally:
        lock.release()


def _of(fitted: Fitted, directory: Path, keeps: str) -> StageRun:
    return StageRun(
        directory,
        keeps,
        fitted.best_epoch,
        len(fitted.history),
        fitted.seconds,
        fitted.history,
        reused=False,
    )


def _keep(
    directory: Path,
    keeps: str,
    identity: str,
    fitted: Fitted,
    about: Mapping[str, Any],
) -> None:
    """Write the products, then the mark that says the stage is done, then drop the checkpoint."""
    facts = {"identity": identity, **{key: str(value) for key, value in about.items()}}
    for which, weights in ((LAST, fitted.last), (BEST, fitted.best)):
        epoch = len(fitted.history) if which == LAST else fitted.best_epoch
        facts_of = {**facts, "epoch": str(epoch)}
        save_tensors(product_file(directory, keeps, which), weights[keeps], facts_of)
        others = {
            f"{node}/{key}": value
            for node, state in weights.items()
            if node != keeps
            for key, value in state.items()
        }
        if others:
            save_tensors(others_file(directory, which), others, facts_of)
    files = sorted(directory.glob("*.safetensors"))
    StageRecord(
        identity=identity,
        keeps=keeps,
        nodes=tuple(fitted.last),
        epochs=len(fitted.history),
        best_epoch=fitted.best_epoch,
        seconds=fitted.seconds,
        history=tuple(fitted.history),
        sha256={path.name: file_hash(path) for path in files},
    ).write(directory / STAGE)
    (directory / CHECKPOINT).unlink(missing_ok=True)


def _finished(directory: Path, identity: str) -> StageRun | None:
    path = directory / STAGE
    if not path.exists():
        return None
    done = StageRecord.read(path)
    if done.identity != identity:
        raise RunError(
            f"{directory} holds a finished stage with fingerprint {done.identity}, this run "
            f"asks for {identity}; choose another directory"
        )
    for name, wanted in done.sha256.items():
        file = directory / name
        if not file.exists() or file_hash(file) != wanted:
            raise RunError(
                f"{file} is not what this stage wrote (missing or changed); "
                f"delete {directory} to make it again"
            )
    return StageRun(
        directory,
        done.keeps,
        done.best_epoch,
        done.epochs,
        done.seconds,
        list(done.history),
        reused=True,
    )
