"""Gauges see the first validation rows as they are, cost nothing, and change no bit."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mistakes import DATA, LABEL, REHEARSED, Renamed, replay, stage
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import EVALUATION_BATCH, Batches
from stillhouse.data.tables import ImageTable
from stillhouse.engine.evaluate import gather
from stillhouse.engine.fit import METRICS, fit
from stillhouse.engine.gauges import ROWS, Gauge
from stillhouse.engine.nodes import Bridge, Role
from stillhouse.engine.platform import Platform
from stillhouse.engine.stage import Stage
from stillhouse.engine.terms import Term
from stillhouse.engine.trainer import Settings, Weights, opened
from stillhouse.engine.wiring import wire
from stillhouse.errors import WiringError
from stillhouse.functional import kl
from stillhouse.methods import kd, plain, th_kd


def same(mine: Weights, theirs: Weights) -> bool:
    assert mine.keys() == theirs.keys()
    return all(torch.equal(v, theirs[node][k]) for node in mine for k, v in mine[node].items())


class Seen:
    """A gauge that remembers what it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[Tensor, ...]] = []

    def __call__(self, *signals: Tensor) -> float:
        assert not torch.is_grad_enabled()
        self.given.append(tuple(signal.clone() for signal in signals))
        return float(len(self.given))


def many(count: int) -> ImageTable:
    made = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (count, 8, 8, 3), generator=made).to(torch.uint8)
    return ImageTable(images, torch.randint(0, 3, (count,), generator=made))


def test_a_gauge_is_given_the_first_rows_in_order(train: Batches, platform: Platform) -> None:
    table = replace(train, table=many(ROWS + 70))
    assert ROWS % EVALUATION_BATCH == 0
    net, seen = tiny_net(4, 1, dropout=0.5), Seen()
    reads = ("student.embedding", "batch.index", "student.logits")
    made = replace(plain(net), gauges=[Gauge("seen", seen, reads)])
    history = fit(made, train, Settings(epochs=2), platform, validation=table).history
    assert [record["gauges"] for record in history] == [{"seen": 1.0}, {"seen": 2.0}]
    embedding, index, logits = seen.given[-1]
    assert index.tolist() == list(range(ROWS))
    assert index.dtype == torch.int64
    assert embedding.dtype == torch.float32
    net.eval()
    with torch.no_grad():
        wanted = net(train.augment(table.table.images[:ROWS]))
    torch.testing.assert_close(logits, wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(net.fc(embedding), wanted, atol=1e-5, rtol=1e-5)


def test_without_a_validation_table_there_are_none(train: Batches, platform: Platform) -> None:
    made = replace(plain(tiny_net()), gauges=[Gauge("one", lambda: 1.0)])
    assert "gauges" not in fit(made, train, Settings(epochs=1), platform).history[0]
    without = fit(plain(tiny_net()), train, Settings(epochs=1), platform, validation=train)
    assert "gauges" not in without.history[0]


def test_gauges_need_no_measure(train: Batches, platform: Platform) -> None:
    made = replace(plain(tiny_net()), measures={}, gauges=[Gauge("one", lambda: 1.0)])
    fitted = fit(made, train, Settings(epochs=2), platform, validation=train)
    assert fitted.history[-1]["gauges"] == {"one": 1.0}
    assert fitted.best_epoch == 2


def test_numbers_lists_and_what_is_not_finite(
    train: Batches, platform: Platform, tmp_path: Path
) -> None:
    net = tiny_net()
    gauges = [
        Gauge("weights", lambda: net.fc.weight[0]),
        Gauge("width", lambda z: z.shape[1], ("student.embedding",)),
        Gauge("broken", lambda: [1.0, float("nan")]),
        Gauge("endless", lambda: torch.tensor(float("inf"))),
        Gauge("nothing", list),
    ]
    made = replace(plain(net), gauges=gauges)
    fitted = fit(made, train, Settings(epochs=1), platform, validation=train, directory=tmp_path)
    shown = fitted.history[0]["gauges"]
    assert shown == {
        "weights": [pytest.approx(w) for w in net.fc.weight[0].tolist()],
        "width": 4.0,
        "broken": [1.0, None],
        "endless": None,
        "nothing": [],
    }
    assert json.loads((tmp_path / METRICS).read_text())["gauges"] == shown


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (lambda z: z, r"gauge 'bad': it gives a \[40, 4\]; a gauge gives a number or a list"),
        (lambda z: "high", "gauge 'bad': it gives a str; a gauge gives a number"),
        (lambda z: z @ z, r"gauge 'bad': it fails on student.embedding \[40, 4\]: "),
    ],
)
def test_what_is_no_reading_is_told(of, said: str, train: Batches, platform: Platform) -> None:
    made = replace(plain(tiny_net()), gauges=[Gauge("bad", of, ("student.embedding",))])
    with pytest.raises(WiringError, match=said):
        fit(made, train, Settings(epochs=1), platform, validation=train)


class Counted(nn.Module):
    """A model that counts its forward passes, by mode."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.passes: dict[bool, int] = {True: 0, False: 0}

    def forward(self, image: Tensor) -> Tensor:
        self.passes[self.training] += 1
        return self.net(image)


def test_gauges_cost_no_forward_pass(train: Batches, platform: Platform) -> None:
    def passes(*gauges: Gauge) -> dict[bool, int]:
        student = Counted(tiny_net(4, 1))
        made = replace(plain(student), gauges=gauges)
        fit(made, train, Settings(epochs=2), platform, validation=train)
        return student.passes

    assert passes(Gauge("seen", Seen(), ("student.embedding", "student.net.conv"))) == passes()


def test_a_node_that_only_a_gauge_reads_runs_on_validation_only(
    train: Batches, platform: Platform
) -> None:
    teacher = Counted(tiny_net(4, 2))
    double = Bridge("double", lambda z: 2 * z, "student.embedding")
    seen = Seen()
    made = replace(
        plain(tiny_net(4, 1)),
        gauges=[Gauge("seen", seen, ("double", "student.embedding", "teacher.logits"))],
    )
    made = replace(made, nodes=[*made.nodes, Role("teacher", teacher), double])
    with opened(made, train, Settings(), platform) as trainer:
        (plan,) = trainer.wiring.turns
        assert [node.name for node in (*plan.outside, *plan.inside)] == ["student"]
        assert {"double", "teacher"} <= {node.name for node in trainer.wiring.measuring}
    before = dict(teacher.passes)
    fit(made, train, Settings(epochs=3), platform, validation=train)
    rehearsal, per_epoch = 1, 1  # 40 rows are one evaluation batch
    assert teacher.passes[True] == before[True]
    assert teacher.passes[False] == before[False] + rehearsal + 3 * per_epoch
    doubled, embedding, _ = seen.given[-1]
    assert torch.equal(doubled, 2 * embedding)


@pytest.mark.parametrize("method", [kd, th_kd])
def test_gauges_change_no_bit_of_training(method, train: Batches, platform: Platform) -> None:
    def trained(*gauges: Gauge):
        made = method(tiny_net(4, 1, dropout=0.3), tiny_net(6, 2))
        made = replace(made, gauges=gauges)
        return fit(made, train, Settings(epochs=3, seed=4), platform, validation=train)

    noise = Gauge("noise", lambda: torch.randn(3))  # draws from the generators of the run
    far = Gauge("far", lambda a, b: a.mean() + b.mean(), ("student.conv", "teacher.conv"))
    mine, theirs = trained(), trained(noise, far)
    assert same(mine.last, theirs.last)
    assert same(mine.best, theirs.best)
    for a, b in zip(mine.history, theirs.history, strict=True):
        assert (a["terms"], a["validation"]) == (b["terms"], b["validation"])


def test_modules_are_in_eval_mode_and_go_back(train: Batches, platform: Platform) -> None:
    """Also a module that no validation node runs, such as a projector."""
    net = tiny_net(4, 1)
    made = th_kd(net, tiny_net(6, 2))
    bridge = made.node("matched")
    modes = []
    made = replace(
        made,
        measures={"student": "student.logits"},
        gauges=[Gauge("mode", lambda: modes.append((net.training, bridge.module.training)) or 0)],
    )
    with opened(made, train, Settings(), platform) as trainer:
        assert bridge not in trainer.wiring.measuring
    fit(made, train, Settings(epochs=1), platform, validation=train)
    assert modes == [(False, False)]
    assert net.training


def test_gather_stops_after_the_rows_it_needs(train: Batches, platform: Platform) -> None:
    net = Counted(tiny_net(4, 1))
    table = replace(train, table=many(ROWS + 2 * EVALUATION_BATCH))
    made = replace(plain(net), gauges=[Gauge("seen", Seen(), ("student.embedding",))])
    with opened(made, train, Settings(), platform) as trainer:
        before = net.passes[False]
        found = gather(trainer.wiring, ["student.embedding"], table, platform)
        assert net.passes[False] - before == ROWS // EVALUATION_BATCH
    assert found["student.embedding"].shape == (ROWS, 4)


def test_a_stage_keeps_its_gauges() -> None:
    gauge = Gauge("one", lambda: 1.0)
    made = replace(kd(tiny_net(), tiny_net()), gauges=[gauge])
    assert made.replace(Role("teacher", tiny_net())).gauges == [gauge]
    assert made.through("teacher", Bridge("image", lambda x: x, "batch.image")).gauges == [gauge]


def gauged(*reads: str, made: Stage | None = None) -> Stage:
    return replace(made or stage(), gauges=[Gauge("mine", lambda *_: 0.0, reads)])


TEACHER = Role("teacher", Renamed())
RECORDED = stage(
    replay(),
    Bridge("soft", lambda z: z.softmax(1), "teacher.logits"),
    terms=[LABEL, Term("kd", kl, ["student.logits", "teacher.logits"])],
)
MISTAKES = {
    "node": (
        gauged("techer.logits"),
        "gauge 'mine' reads 'techer.logits', but there is no node 'techer'; nearest: teacher",
    ),
    "tap": (gauged("student.cnov"), "gauge 'mine' reads 'student.cnov': student has no module"),
    "signal": (
        gauged("teacher.logits", made=stage(TEACHER)),
        "gauge 'mine' reads 'teacher.logits'; nearest: teacher.:scores",
    ),
    "name": (
        replace(stage(), gauges=[Gauge("mine", lambda: 0.0), Gauge("mine", lambda: 1.0)]),
        "two gauges are called 'mine'",
    ),
    "recorded": (
        gauged("teacher.logits", made=RECORDED),
        "gauge 'mine' reads 'teacher.logits', which needs the recorded 'teacher': only training "
        "rows were recorded, and gauges see validation rows; use the live 'teacher'",
    ),
    "behind": (gauged("soft", made=RECORDED), "'mine' reads 'soft', which needs the recorded"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_what_a_gauge_cannot_read_is_told(kind: str) -> None:
    made, said = MISTAKES[kind]
    with pytest.raises(WiringError) as caught:
        wire(made, DATA)
    assert len(caught.value.problems) == 1
    assert said in caught.value.problems[0]


def test_the_other_mistakes_are_the_same_with_gauges() -> None:
    for made, said in REHEARSED.values():
        with pytest.raises(WiringError, match="stage 's'") as caught:
            wire(replace(made(), gauges=[Gauge("one", lambda: 1.0)]), DATA)
        assert any(said in problem for problem in caught.value.problems)
