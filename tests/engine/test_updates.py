"""Several updates, followers and learned inputs: each equals the loop that one would write."""

import copy

import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Bridge, Ema, Role
from stillhouse.engine.observer import NullObserver
from stillhouse.engine.optimisers import sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.schedules import constant, cosine, multi_step
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.engine.trainer import Settings, training
from stillhouse.functional import cross_entropy, kl

EPOCHS = 2
RATE = 0.1


def label(who: str) -> Term:
    return Term(f"label_{who}", cross_entropy, [f"{who}.logits", "batch.label"], weight=0.5)


def mimic(who: str, other: str) -> Term:
    return Term(f"kd_{who}", kl, [f"{who}.logits", f"{other}.logits"], options={"temperature": 2.0})


def mutual(one: nn.Module, two: nn.Module, **update: object) -> Stage:
    """Zhang et al., "Deep mutual learning", arXiv 1706.00384: peers take updates."""
    return Stage(
        "mutual",
        [Role("one", one), Role("two", two)],
        [
            Update("one", [label("one"), mimic("one", "two")], name="first"),
            Update("two", [label("two"), mimic("two", "one")], name="second", **update),
        ],
        measures={"one": "one.logits", "two": "two.logits"},
        keeps="one",
    )


def settings(**changes: object) -> Settings:
    fixed = {"epochs": EPOCHS, "optimizer": sgd(RATE), "schedule": constant()}
    return Settings(**{**fixed, "channels_last": False, **changes})


def loss_of(mine: Tensor, theirs: Tensor, target: Tensor) -> Tensor:
    soft = F.kl_div(
        F.log_softmax(mine / 2, 1), F.log_softmax(theirs.detach() / 2, 1),
        reduction="batchmean", log_target=True,
    )  # fmt: skip
    return 0.5 * F.cross_entropy(mine, target) + 4 * soft


def optimizer_of(net: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(net.parameters(), RATE, momentum=0.9, weight_decay=5e-4, fused=True)


def close(mine: nn.Module, theirs: nn.Module) -> None:
    for (name, a), b in zip(mine.state_dict().items(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5, msg=name)


@pytest.mark.parametrize("every", [1, 3])
def test_alternating_peers_equal_a_hand_written_loop(
    every: int, train: Batches, platform: Platform
) -> None:
    """In its update a peer meets the other one as it is by then, in train mode."""
    one, two = tiny_net(4, 1), tiny_net(6, 2)
    nets = [copy.deepcopy(one).train(), copy.deepcopy(two).train()]
    optimizers = [optimizer_of(net) for net in nets]
    step = 0
    for epoch in range(EPOCHS):
        for batch in train.epoch(epoch):
            image, target = batch["batch.image"], batch["batch.label"]
            for me, other in ((0, 1), (1, 0)):
                if me == 1 and step % every:
                    continue
                with torch.no_grad():
                    theirs = nets[other](image)
                loss_of(nets[me](image), theirs, target).backward()
                optimizers[me].step()
                optimizers[me].zero_grad()
            step += 1
    fit(mutual(one, two, every=every), train, settings=settings(), platform=platform)
    close(one, nets[0])
    close(two, nets[1])


def test_simultaneous_peers_equal_a_hand_written_loop(train: Batches, platform: Platform) -> None:
    """One update in which both learn: each meets the other one as it was before the step."""
    one, two = tiny_net(4, 1), tiny_net(6, 2)
    nets = [copy.deepcopy(one).train(), copy.deepcopy(two).train()]
    optimizer = torch.optim.SGD(
        [p for net in nets for p in net.parameters()], RATE, momentum=0.9, weight_decay=5e-4,
        fused=True,
    )  # fmt: skip
    for epoch in range(EPOCHS):
        for batch in train.epoch(epoch):
            mine, theirs = (net(batch["batch.image"]) for net in nets)
            target = batch["batch.label"]
            (loss_of(mine, theirs, target) + loss_of(theirs, mine, target)).backward()
            optimizer.step()
            optimizer.zero_grad()
    terms = [label("one"), mimic("one", "two"), label("two"), mimic("two", "one")]
    stage = Stage(
        "together", [Role("one", one), Role("two", two)], [Update(["one", "two"], terms)],
        measures={"one": "one.logits"}, keeps="one",
    )  # fmt: skip
    fit(stage, train, settings=settings(), platform=platform)
    close(one, nets[0])
    close(two, nets[1])


@pytest.mark.parametrize("schedule", [multi_step([0.6, 1.5]), cosine(warmup=0.5)])
def test_a_update_that_plays_seldom_keeps_the_schedule_of_the_fit(
    schedule, train: Batches, platform: Platform
) -> None:
    stage = mutual(tiny_net(4, 1), tiny_net(4, 2), every=3)
    rates = []
    with training(stage, train, settings(schedule=schedule), platform) as trainer:
        for epoch in range(EPOCHS):
            rates += [[stepper.lr for stepper in trainer.steppers] for _ in trainer.steps(epoch)]
    assert len(rates) == EPOCHS * len(train)
    assert all(first == second for first, second in rates)
    assert len({first for first, _ in rates}) > 2


def test_a_update_brings_its_own_optimizer_and_schedule(train: Batches, platform: Platform) -> None:
    stage = mutual(tiny_net(4, 1), tiny_net(4, 2), optimizer=sgd(0.5), schedule=multi_step([1]))
    with training(stage, train, settings(), platform) as trainer:
        for _ in trainer.steps(0):
            pass
        assert [round(stepper.lr, 9) for stepper in trainer.steppers] == [RATE, 0.05]


def test_the_history_names_the_terms_of_all_turns(train: Batches, platform: Platform) -> None:
    fitted = fit(
        mutual(tiny_net(4, 1), tiny_net(4, 2)),
        train,
        settings=settings(),
        platform=platform,
        validation=train,
    )
    record = fitted.history[-1]
    assert set(record["terms"]) == {"label_one", "kd_one", "label_two", "kd_two"}
    mine = {name: record["terms"][name] for name in ("label_one", "kd_one")}
    wanted = sum(record["weights"][name] * value for name, value in mine.items())
    assert record["loss"] == pytest.approx(wanted), "of the update of what is kept"
    assert set(record["validation"]) == {"one", "two"}
    assert set(fitted.last) == {"one", "two"}


def test_a_mean_teacher_equals_a_hand_written_loop(train: Batches, platform: Platform) -> None:
    student = tiny_net(4, 1)
    net = copy.deepcopy(student).train()
    mean = copy.deepcopy(student).eval()
    optimizer = optimizer_of(net)
    for epoch in range(EPOCHS):
        for batch in train.epoch(epoch):
            with torch.no_grad():
                theirs = mean(batch["batch.image"])
            loss_of(net(batch["batch.image"]), theirs, batch["batch.label"]).backward()
            optimizer.step()
            optimizer.zero_grad()
            with torch.no_grad():
                state = net.state_dict()
                for name, value in mean.state_dict().items():
                    if value.is_floating_point():
                        value.mul_(0.9).add_(0.1 * state[name])
                    else:
                        value.copy_(state[name])
    role = Role("student", student)
    ema = Ema("mean", role, decay=0.9)
    stage = Stage(
        "mean", [role, ema], [Update("student", [label("student"), mimic("student", "mean")])],
        measures={"student": "student.logits", "mean": "mean.logits"},
    )  # fmt: skip
    fitted = fit(stage, train, settings=settings(), platform=platform, validation=train)
    close(student, net)
    close(ema.module, mean)
    assert torch.equal(fitted.last["mean"]["fc.weight"], ema.module.fc.weight)


class Pixels(nn.Module):
    """Images that learn; reads nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Parameter(0.1 * torch.randn(6, 3, 8, 8))

    def forward(self) -> Tensor:
        return self.image


def test_learned_pixels_learn_through_a_frozen_role(train: Batches, platform: Platform) -> None:
    """Zero-shot impressions: gradients pass the teacher, its weights and statistics stay."""
    torch.manual_seed(0)
    teacher, pixels = tiny_net(4, 2, dropout=0.5), Pixels()
    before, image = copy.deepcopy(teacher), copy.deepcopy(pixels).image
    wanted = torch.tensor([0, 1, 2, 0, 1, 2])
    frozen = copy.deepcopy(teacher).eval()
    optimizer = torch.optim.SGD([image], RATE, momentum=0.9, weight_decay=5e-4, fused=True)
    for _ in range(EPOCHS * len(train)):
        F.cross_entropy(frozen(image), wanted).backward()
        optimizer.step()
        optimizer.zero_grad()

    term = Term("classes", lambda scores: cross_entropy(scores, wanted), ["teacher.logits"])
    stage = Stage(
        "pixels", [Role("teacher", teacher, reads="pixels"), Bridge("pixels", pixels, [])],
        [Update("pixels", [term])], measures={}, keeps="pixels",
    )  # fmt: skip

    class NoGradients(NullObserver):
        def step(self, images: int) -> None:
            assert all(p.grad is None for p in teacher.parameters())

    fitted = fit(stage, train, settings=settings(), platform=platform, observer=NoGradients())
    torch.testing.assert_close(pixels.image, image, atol=1e-6, rtol=1e-5)
    assert fitted.history[0]["terms"]["classes"] > fitted.history[1]["terms"]["classes"]
    for a, b in zip(teacher.state_dict().values(), before.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_autograd_runs_only_where_something_learns(train: Batches, platform: Platform) -> None:
    teacher, student = tiny_net(4, 2), tiny_net(4, 1)
    seen: dict[str, list[bool]] = {"teacher": [], "student": []}
    for name, net in (("teacher", teacher), ("student", student)):
        net.register_forward_hook(
            lambda module, _args, out, name=name: seen[name].append(out.requires_grad)
        )
    stage = Stage(
        "s", [Role("teacher", teacher), Role("student", student)],
        [Update("student", [label("student"), mimic("student", "teacher")])],
    )  # fmt: skip
    fit(stage, train, settings=settings(epochs=1), platform=platform)
    dry_run, look_ahead = 1, 1
    assert seen["teacher"] == [False] * (dry_run + look_ahead + len(train))
    assert seen["student"] == [False] * dry_run + [True] * (look_ahead + len(train))


def test_who_does_not_play_collects_no_gradients(train: Batches, platform: Platform) -> None:
    """Images that fool the student, then the student on them: gradients of the first update, which
    pass through the student, are not added to those of the second.
    """
    torch.manual_seed(0)
    student, pixels = tiny_net(4, 1), Pixels()
    wanted = torch.tensor([0, 1, 2, 0, 1, 2])
    net, image = copy.deepcopy(student).train(), copy.deepcopy(pixels).image
    optimizers = [
        torch.optim.SGD([p], RATE, momentum=0.9, weight_decay=5e-4, fused=True)
        if isinstance(p, Tensor)
        else optimizer_of(p)
        for p in (image, net)
    ]
    for _ in range(EPOCHS * len(train)):
        (-F.cross_entropy(net(image), wanted)).backward()
        net.zero_grad()
        optimizers[0].step()
        F.cross_entropy(net(image.detach()), wanted).backward()
        optimizers[1].step()
        image.grad = None
        net.zero_grad()
    fool = Term("fool", lambda scores: -cross_entropy(scores, wanted), ["student.logits"])
    learn = Term("learn", lambda scores: cross_entropy(scores, wanted), ["student.logits"])
    stage = Stage(
        "fooling", [Role("student", student, reads="pixels"), Bridge("pixels", pixels, [])],
        [Update("pixels", [fool], name="fool"), Update("student", [learn], name="learn")],
    )  # fmt: skip
    fit(stage, train, settings=settings(), platform=platform)
    torch.testing.assert_close(pixels.image, image, atol=1e-6, rtol=1e-5)
    close(student, net)
    assert all(p.requires_grad for p in (*student.parameters(), pixels.image))
