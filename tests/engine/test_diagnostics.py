"""Diagnostics see the first validation rows as they are, cost nothing, and change no bit."""

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
from stillhouse.engine.diagnostics import ROWS, Diagnostic
from stillhouse.engine.evaluate import gather
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Bridge, Role
from stillhouse.engine.platform import Platform
from stillhouse.engine.resuming import METRICS
from stillhouse.engine.stage import Stage
from stillhouse.engine.terms import Term
from stillhouse.engine.trainer import Settings, Weights, training
from stillhouse.engine.wiring import wire
from stillhouse.errors import WiringError
from stillhouse.functional import kl
from stillhouse.methods import kd, plain, th_kd


def same(mine: Weights, theirs: Weights) -> bool:
    assert mine.keys() == theirs.keys()
    return all(torch.equal(v, theirs[node][k]) for node in mine for k, v in mine[node].items())


class Seen:
    """A diagnostic that remembers what it was given."""

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


def test_a_diagnostic_is_given_the_first_rows_in_order(train: Batches, platform: Platform) -> None:
    table = replace(train, table=many(ROWS + 70))
    assert ROWS % EVALUATION_BATCH == 0
    net, seen = tiny_net(4, 1, dropout=0.5), Seen()
    reads = ("student.embedding", "batch.index", "student.logits")
    made = replace(plain(net), diagnostics=[Diagnostic("seen", seen, reads)])
    history = fit(
        made, train, settings=Settings(epochs=2), platform=platform, validation=table
    ).history
    assert [record["diagnostics"] for record in history] == [{"seen": 1.0}, {"seen": 2.0}]
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
    made = replace(plain(tiny_net()), diagnostics=[Diagnostic("one", lambda: 1.0)])
    assert (
        "diagnostics"
        not in fit(made, train, settings=Settings(epochs=1), platform=platform).history[0]
    )
    without = fit(
        plain(tiny_net()), train, settings=Settings(epochs=1), platform=platform, validation=train
    )
    assert "diagnostics" not in without.history[0]


def test_diagnostics_need_no_measure(train: Batches, platform: Platform) -> None:
    made = replace(plain(tiny_net()), measures={}, diagnostics=[Diagnostic("one", lambda: 1.0)])
    fitted = fit(made, train, settings=Settings(epochs=2), platform=platform, validation=train)
    assert fitted.history[-1]["diagnostics"] == {"one": 1.0}
    assert fitted.best_epoch == 2


def test_numbers_lists_and_what_is_not_finite(
    train: Batches, platform: Platform, tmp_path: Path
) -> None:
    net = tiny_net()
    diagnostics = [
        Diagnostic("weights", lambda: net.fc.weight[0]),
        Diagnostic("width", lambda z: z.shape[1], ("student.embedding",)),
        Diagnostic("broken", lambda: [1.0, float("nan")]),
        Diagnostic("endless", lambda: torch.tensor(float("inf"))),
        Diagnostic("nothing", list),
    ]
    made = replace(plain(net), diagnostics=diagnostics)
    fitted = fit(
        made,
        train,
        settings=Settings(epochs=1),
        platform=platform,
        validation=train,
        directory=tmp_path,
    )
    shown = fitted.history[0]["diagnostics"]
    assert shown == {
        "weights": [pytest.approx(w) for w in net.fc.weight[0].tolist()],
        "width": 4.0,
        "broken": [1.0, None],
        "endless": None,
        "nothing": [],
    }
    assert json.loads((tmp_path / METRICS).read_text())["diagnostics"] == shown


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (
            lambda z: z,
            r"diagnostic 'bad': it gives a \[40, 4\]; a diagnostic gives a number or a list",
        ),
        (lambda z: "high", "diagnostic 'bad': it gives a str; a diagnostic gives a number"),
        (lambda z: z @ z, r"diagnostic 'bad': it fails on student.embedding \[40, 4\]: "),
    ],
)
def test_what_is_no_reading_is_told(of, said: str, train: Batches, platform: Platform) -> None:
    made = replace(plain(tiny_net()), diagnostics=[Diagnostic("bad", of, ("student.embedding",))])
    with pytest.raises(WiringError, match=said):
        fit(made, train, settings=Settings(epochs=1), platform=platform, validation=train)


class Counted(nn.Module):
    """A model that counts its forward passes, by mode."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.passes: dict[bool, int] = {True: 0, False: 0}

    def forward(self, image: Tensor) -> Tensor:
        self.passes[self.training] += 1
        return self.net(image)


def test_diagnostics_cost_no_forward_pass(train: Batches, platform: Platform) -> None:
    def passes(*diagnostics: Diagnostic) -> dict[bool, int]:
        student = Counted(tiny_net(4, 1))
        made = replace(plain(student), diagnostics=diagnostics)
        fit(made, train, settings=Settings(epochs=2), platform=platform, validation=train)
        return student.passes

    assert passes(Diagnostic("seen", Seen(), ("student.embedding", "student.net.conv"))) == passes()


def test_a_node_that_only_a_diagnostic_reads_runs_on_validation_only(
    train: Batches, platform: Platform
) -> None:
    teacher = Counted(tiny_net(4, 2))
    double = Bridge("double", lambda z: 2 * z, "student.embedding")
    seen = Seen()
    made = replace(
        plain(tiny_net(4, 1)),
        diagnostics=[Diagnostic("seen", seen, ("double", "student.embedding", "teacher.logits"))],
    )
    made = replace(made, nodes=[*made.nodes, Role("teacher", teacher), double])
    with training(made, train, Settings(), platform) as trainer:
        (plan,) = trainer.objective.wiring.updates
        assert [node.name for node in (*plan.outside, *plan.inside)] == ["student"]
        assert {"double", "teacher"} <= {node.name for node in trainer.objective.wiring.measuring}
    before = dict(teacher.passes)
    fit(made, train, settings=Settings(epochs=3), platform=platform, validation=train)
    dry_run, per_epoch = 1, 1  # 40 rows are one evaluation batch
    assert teacher.passes[True] == before[True]
    assert teacher.passes[False] == before[False] + dry_run + 3 * per_epoch
    doubled, embedding, _ = seen.given[-1]
    assert torch.equal(doubled, 2 * embedding)


@pytest.mark.parametrize("method", [kd, th_kd])
def test_diagnostics_change_no_bit_of_training(method, train: Batches, platform: Platform) -> None:
    def trained(*diagnostics: Diagnostic):
        made = method(tiny_net(4, 1, dropout=0.3), tiny_net(6, 2))
        made = replace(made, diagnostics=diagnostics)
        return fit(
            made, train, settings=Settings(epochs=3, seed=4), platform=platform, validation=train
        )

    noise = Diagnostic("noise", lambda: torch.randn(3))  # draws from the generators of the run
    far = Diagnostic("far", lambda a, b: a.mean() + b.mean(), ("student.conv", "teacher.conv"))
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
        diagnostics=[
            Diagnostic("mode", lambda: modes.append((net.training, bridge.module.training)) or 0)
        ],
    )
    with training(made, train, Settings(), platform) as trainer:
        assert bridge not in trainer.objective.wiring.measuring
    fit(made, train, settings=Settings(epochs=1), platform=platform, validation=train)
    assert modes == [(False, False)]
    assert net.training


def test_gather_stops_after_the_rows_it_needs(train: Batches, platform: Platform) -> None:
    net = Counted(tiny_net(4, 1))
    table = replace(train, table=many(ROWS + 2 * EVALUATION_BATCH))
    made = replace(plain(net), diagnostics=[Diagnostic("seen", Seen(), ("student.embedding",))])
    with training(made, train, Settings(), platform) as trainer:
        before = net.passes[False]
        found = gather(trainer.objective, ["student.embedding"], table, platform)
        assert net.passes[False] - before == ROWS // EVALUATION_BATCH
    assert found["student.embedding"].shape == (ROWS, 4)


def test_a_stage_keeps_its_diagnostics() -> None:
    diagnostic = Diagnostic("one", lambda: 1.0)
    made = replace(kd(tiny_net(), tiny_net()), diagnostics=[diagnostic])
    assert made.replace(Role("teacher", tiny_net())).diagnostics == [diagnostic]
    assert made.through("teacher", Bridge("image", lambda x: x, "batch.image")).diagnostics == [
        diagnostic
    ]


def with_likeness(*reads: str, made: Stage | None = None) -> Stage:
    return replace(made or stage(), diagnostics=[Diagnostic("mine", lambda *_: 0.0, reads)])


TEACHER = Role("teacher", Renamed())
CACHED = stage(
    replay(),
    Bridge("soft", lambda z: z.softmax(1), "teacher.logits"),
    terms=[LABEL, Term("kd", kl, ["student.logits", "teacher.logits"])],
)
MISTAKES = {
    "node": (
        with_likeness("techer.logits"),
        "diagnostic 'mine' reads 'techer.logits', but there is no node 'techer'; nearest: teacher",
    ),
    "tap": (
        with_likeness("student.cnov"),
        "diagnostic 'mine' reads 'student.cnov': student has no module",
    ),
    "signal": (
        with_likeness("teacher.logits", made=stage(TEACHER)),
        "teacher: it gives several outputs and none is called 'logits' (scores [4, 3], more",
    ),
    "name": (
        replace(
            stage(), diagnostics=[Diagnostic("mine", lambda: 0.0), Diagnostic("mine", lambda: 1.0)]
        ),
        "two diagnostics are called 'mine'",
    ),
    "cached": (
        with_likeness("teacher.logits", made=CACHED),
        "diagnostic 'mine' reads 'teacher.logits', which needs the cached 'teacher': only training "
        "rows were cached, and diagnostics see validation rows; use the live 'teacher'",
    ),
    "behind": (with_likeness("soft", made=CACHED), "'mine' reads 'soft', which needs the cached"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_what_a_diagnostic_cannot_read_is_told(kind: str) -> None:
    made, said = MISTAKES[kind]
    with pytest.raises(WiringError) as caught:
        wire(made, DATA)
    assert len(caught.value.problems) == 1
    assert said in caught.value.problems[0]


def test_the_other_mistakes_are_the_same_with_diagnostics() -> None:
    for made, said in REHEARSED.values():
        with pytest.raises(WiringError, match="stage 's'") as caught:
            wire(replace(made(), diagnostics=[Diagnostic("one", lambda: 1.0)]), DATA)
        assert any(said in problem for problem in caught.value.problems)
