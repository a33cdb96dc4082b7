"""The task says what labels mean: the engine asks it for loss, metrics, direction and form."""

import pytest
import torch
from torch import Tensor, nn

import stillhouse as sh
from stillhouse.data.loaders import batches_of
from stillhouse.errors import RecipeError, RunError, WiringError
from stillhouse.methods import logits_mse, plain
from stillhouse.records.metric import Metric
from stillhouse.tasks import CLASSIFICATION, Task, find_task


class MeanOfAll:
    """A metric that is no mean over rows: the difference of two means."""

    def __init__(self) -> None:
        self.said, self.right = [], []

    def to(self, _device: object) -> "MeanOfAll":
        return self

    def update(self, said: Tensor, right: Tensor) -> None:
        self.said.append(said)
        self.right.append(right)

    def compute(self) -> Tensor:
        return (torch.cat(self.said).mean() - torch.cat(self.right).mean()).abs()


class Regression(Task):
    name = "regression"
    metric = Metric(name="RMS error", unit="m", higher_is_better=False)

    def loss(self, output: Tensor, label: Tensor, /) -> Tensor:
        return (output[:, 0] - label) ** 2

    def rows(self, output: Tensor, label: Tensor, /) -> dict[str, Tensor]:
        return {"RMS error": self.loss(output, label), "loss": self.loss(output, label)}

    def predict(self, output: Tensor, /) -> Tensor:
        return output[:, 0]

    def further(self) -> dict[str, MeanOfAll]:
        return {"bias": MeanOfAll()}

    def output_problem(self, output: Tensor) -> str | None:
        return None if output.ndim == 2 and output.shape[1] == 1 else "one number, [B, 1]"


@pytest.fixture
def heights() -> torch.utils.data.TensorDataset:
    made = torch.Generator().manual_seed(0)
    x = torch.randn(64, 5, generator=made)
    return torch.utils.data.TensorDataset(x, x @ torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0]))


def test_a_task_of_ones_own_is_fitted_and_the_lowest_error_is_the_best(heights, platform) -> None:
    task = Regression()
    stage = plain(nn.Linear(5, 1)).with_task(task)
    rate = lambda p: torch.optim.SGD(p, 0.4)  # noqa: E731  (so large that the error goes up and down)
    fitted = sh.fit(stage, heights, heights, epochs=6, batch_size=16, platform=platform,
                    settings=sh.Settings(optimizer=rate))  # fmt: skip
    errors = [record["validation"]["student"]["RMS error"] for record in fitted.history]
    assert fitted.best_epoch == 1 + errors.index(min(errors))
    batch = {"x": heights.tensors[0], "y": heights.tensors[1]}
    said = stage.role("student").module(batch["x"])[:, 0]
    by_hand = ((said - batch["y"]) ** 2).mean().item()
    assert errors[-1] == pytest.approx(by_hand, rel=1e-5)
    bias = fitted.history[-1]["validation"]["student"]["bias"]
    assert bias == pytest.approx((said.mean() - batch["y"].mean()).abs().item(), rel=1e-4)


def test_a_method_names_the_labelled_term_and_the_task_fills_it(heights) -> None:
    student, teacher = nn.Linear(5, 1), nn.Linear(5, 1)
    x, y = heights.tensors
    with logits_mse(student, teacher).open(x, y, task=Regression()) as objective:
        out = objective(x, y)
        by_hand = ((student(x)[:, 0] - y) ** 2).mean()
        torch.testing.assert_close(out.terms["label"], by_hand)
    (label, *_) = logits_mse(student, teacher).terms()
    assert label.loss is sh.functional.cross_entropy
    with pytest.raises(WiringError, match=r"scores one number, \[B, 1\], but 'student.logits' is"):
        plain(nn.Linear(5, 2)).open(x, y, task=Regression())
    with pytest.raises(WiringError, match=r"scores logits \[B, classes\], but 'student.logits' is"):
        plain(nn.Conv1d(1, 1, 1)).open(x[:, None], torch.zeros(64, 5).long())


def test_waiting_for_a_value_means_being_as_good(heights) -> None:
    stage = plain(nn.Linear(5, 1)).with_task(Regression())
    options = {"epochs": 8, "batch_size": 16}
    small = sh.Settings(optimizer=lambda p: torch.optim.SGD(p, 0.05), until_metric=5.0)
    fitted = sh.fit(stage, heights, heights, settings=small, **options)
    errors = [record["validation"]["student"]["RMS error"] for record in fitted.history]
    assert errors[-1] <= 5.0 < min(errors[:-1], default=9.0)
    never = sh.Settings(optimizer=lambda p: torch.optim.SGD(p, 1e-6), until_metric=0.0)
    with pytest.raises(RunError, match=r"waited for 0\.00 m of validation RMS error and reached"):
        sh.fit(plain(nn.Linear(5, 1)).with_task(Regression()), heights, heights, settings=never,
               **options)  # fmt: skip


def test_a_metric_knows_its_direction_and_how_it_is_shown() -> None:
    error, accuracy = Regression.metric, CLASSIFICATION.metric
    assert error.is_better(1.0, 2.0)
    assert not accuracy.is_better(0.1, 0.2)
    assert error.gain(1.0, 3.0) == 2.0
    assert accuracy.gain(0.9, 0.8) == pytest.approx(0.1)
    assert (error.with_unit(1.5), accuracy.with_unit(0.9563)) == ("1.50 m", "95.63%")
    assert (error.difference(2.0), accuracy.difference(0.01)) == ("+2.00 m", "+1.00 points")
    assert error.reached(1.0, 1.0)
    assert not error.reached(1.1, 1.0)
    assert find_task("classification") is CLASSIFICATION
    with pytest.raises(RecipeError, match="no task 'clasification'; nearest: classification"):
        find_task("clasification")


def test_accuracy_is_a_count_of_rows(train, platform) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    batches = batches_of(train)
    fitted = sh.fit(plain(net), batches, batches, epochs=1, platform=platform)
    right = sum(
        (net(batch["batch.image"]).argmax(1) == batch["batch.label"]).sum().item()
        for batch in batches.once()
    )
    scored = fitted.history[-1]["validation"]["student"]["accuracy"]
    assert scored == pytest.approx(right / 40, abs=1e-7)
