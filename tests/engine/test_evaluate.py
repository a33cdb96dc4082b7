"""Evaluation equals a naive loop, whatever the batches."""

import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_net

from stillhouse.data.augment import Augment
from stillhouse.data.batches import EVALUATION_BATCH, Batches
from stillhouse.data.tables import ImageTable
from stillhouse.engine.evaluate import evaluate
from stillhouse.engine.fit import fit, score
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings, training
from stillhouse.methods import kd, plain, th_kd

ROWS = EVALUATION_BATCH + 37  # the last batch is smaller


@pytest.fixture
def uneven() -> Batches:
    made = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (ROWS, 8, 8, 3), generator=made).to(torch.uint8)
    labels = torch.randint(0, 3, (ROWS,), generator=made)
    augment = Augment((0.4, 0.5, 0.6), (0.2, 0.25, 0.3), crop=2, flip=True, cutout=4)
    return Batches(ImageTable(images, labels), augment, batch_size=8)


def naive(net: torch.nn.Module, batches: Batches) -> tuple[float, float]:
    """One image at a time, in double precision."""
    net = net.double().eval()
    table, augment = batches.table, batches.augment
    right, loss = 0, 0.0
    with torch.no_grad():
        for image, label in zip(table.images, table.labels, strict=True):
            pixels = image.double().permute(2, 0, 1) / 255
            mean, std = (
                torch.tensor(v).double()[:, None, None] for v in (augment.mean, augment.std)
            )
            scores = net(((pixels - mean) / std)[None])
            right += int(scores.argmax() == label)
            loss += F.cross_entropy(scores, label[None]).item()
    net.float()
    return right / len(table), loss / len(table)


def test_scores_equal_a_naive_loop(uneven: Batches, train: Batches, platform: Platform) -> None:
    student = tiny_net(4, 1, dropout=0.5)
    fit(
        plain(student), train, settings=Settings(epochs=1), platform=platform
    )  # so that statistics are not trivial
    with training(plain(student), train, Settings(), platform) as trainer:
        scores = evaluate(trainer.objective, uneven, platform)
    accuracy, loss = naive(student, uneven)
    assert scores["student"]["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert scores["student"]["loss"] == pytest.approx(loss, rel=1e-5)


def test_several_measures_are_scored_in_one_pass(
    uneven: Batches, train: Batches, platform: Platform
) -> None:
    student, teacher = tiny_net(4, 1), tiny_net(4, 2)
    stage = th_kd(student, teacher, alpha=1.0)
    with training(stage, train, Settings(), platform) as trainer:
        scores = evaluate(trainer.objective, uneven, platform)
    assert list(scores) == ["own head", "teacher head", "mixture"]
    assert scores["mixture"] == pytest.approx(scores["teacher head"], abs=1e-5)
    own = naive(student, uneven)
    assert scores["own head"]["accuracy"] == pytest.approx(own[0], abs=1e-6)
    student.fc = teacher.fc
    assert scores["teacher head"]["accuracy"] == pytest.approx(naive(student, uneven)[0], abs=1e-6)


def test_shares_of_processes_add_up(uneven: Batches, train: Batches, platform: Platform) -> None:
    """The rows of 1, 2 and 3 processes are the same ones, each served once."""
    for world in (1, 2, 4):
        seen = []
        for rank in range(world):
            mine = Batches(uneven.table, uneven.augment, batch_size=8, rank=rank, world=world)
            seen += [row for batch in mine.once() for row in batch["batch.index"].tolist()]
        assert sorted(seen) == list(range(ROWS))


def test_weights_of_another_epoch_are_scored(
    uneven: Batches, train: Batches, platform: Platform
) -> None:
    student, teacher = tiny_net(4, 1), tiny_net(6, 2)
    settings = Settings(epochs=2)
    fitted = fit(
        kd(student, teacher), train, settings=settings, platform=platform, validation=uneven
    )
    other = tiny_net(4, 5)
    scores = score(kd(other, teacher), fitted.best, train, uneven, settings, platform)
    cached = fitted.history[fitted.best_epoch - 1]["validation"]
    assert scores["student"] == pytest.approx(cached["student"], rel=1e-6)
    best = max(record["validation"]["student"]["accuracy"] for record in fitted.history)
    assert scores["student"]["accuracy"] == pytest.approx(best)
    kept = fitted.best["student"]["fc.weight"]
    assert torch.equal(other.fc.weight, kept)
