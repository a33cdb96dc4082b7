"""What is said of the interval of a verdict: seeds, rows and teachers."""

import numpy as np
import pytest
import torch
from scipy.stats import binom

from stillhouse.records.answers import Answers
from stillhouse.records.metric import ACCURACY, Metric
from stillhouse.runs.judging.coverage import covered, with_rows
from stillhouse.runs.judging.verdict import judge

LOSS = Metric(name="loss", unit="nats", higher_is_better=False)


def answered(seeds: int, rows: int = 400, name: str = "accuracy") -> Answers:
    """A student that is right in about 7 of 10 rows, and a control in 6."""
    draw = np.random.default_rng(seeds)
    of = {}
    for role, share in (("student", 0.7), ("control", 0.6)):
        for seed in range(seeds):
            of[role, seed] = {name: torch.from_numpy((draw.random(rows) < share).astype("uint8"))}
    return Answers(None, of)


def verdict(answers: Answers, metric: Metric = ACCURACY):
    values = [
        [v.double().mean().item() for v in answers.seeds(role, metric.name).values()]
        for role in ("student", "control")
    ]
    return judge("kd", *values, metric=metric)


def test_rows_widen_the_interval_by_what_a_bootstrap_of_both_gives() -> None:
    answers = answered(3)
    found = with_rows(answers, ACCURACY)
    gain = np.stack([
        answers.of["student", s]["accuracy"].numpy().astype(float)
        - answers.of["control", s]["accuracy"].numpy()
        for s in range(3)
    ])  # fmt: skip
    assert found.over_seeds == pytest.approx(gain.mean(1).std(ddof=1) / 3**0.5)
    assert found.over_rows == pytest.approx(gain.mean(0).std(ddof=1) / 400**0.5)
    said = covered(verdict(answers), answers, ACCURACY, teachers=1)
    assert said.covers.startswith(
        "The interval covers other seeds, on these 400 test rows, with one teacher. For other"
    )
    assert f"standard error {100 * found.over_seeds:.2f} by seeds" in said.covers
    assert said.with_rows == found
    assert found.low < said.gain < found.high


def test_one_seed_has_the_test_of_its_rows() -> None:
    answers = answered(1)
    mine, theirs = (answers.of[role, 0]["accuracy"].numpy() for role in ("student", "control"))
    gained, lost = int((mine > theirs).sum()), int((mine < theirs).sum())
    by_hand = min(1.0, 2 * binom.cdf(min(gained, lost), gained + lost, 0.5))
    said = covered(verdict(answers), answers, ACCURACY, teachers=0)
    assert said.with_rows.p == pytest.approx(by_hand)
    assert f"{gained} that only the student gets right, {lost} that only the control" in said.covers
    assert said.with_rows.low is None


def test_where_less_is_better_the_gain_is_turned_round() -> None:
    answers = answered(3, name="loss")
    assert with_rows(answers, LOSS).high < 0  # the student's loss is the larger one


def test_a_metric_that_is_no_mean_over_rows_has_none() -> None:
    answers, other = answered(3), Metric(name="f1", unit="%", scale=100.0)
    assert with_rows(answers, other) is None
    said = covered(verdict(answers), answers, other, teachers=3)
    assert said.covers == "The interval covers other seeds, on these test rows, with 3 teachers."
