"""PCL: a hand-written training with mean teachers, what is measured and handed over."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.optimisers import constant, sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.seeding import seeded
from stillhouse.engine.trainer import Settings
from stillhouse.engine.wiring import wire
from stillhouse.errors import RecipeError, WiringError
from stillhouse.methods import pcl

RATE, EPOCHS, SEED, T, DECAY = 0.1, 2, 7, 2.0, 0.8
WIDTHS = (4, 6, 5)


def settings() -> Settings:
    return Settings(
        epochs=EPOCHS, seed=SEED, optimizer=sgd(RATE), schedule=constant(), channels_last=False
    )


def nets() -> list[nn.Module]:
    return [tiny_net(width, at) for at, width in enumerate(WIDTHS, start=1)]


def soft(mine: Tensor, theirs: Tensor) -> Tensor:
    q = (theirs.detach() / T).softmax(1)
    return T**2 * (q * (q.log() - (mine / T).log_softmax(1))).sum(1).mean()


def test_it_equals_a_hand_written_loop(train: Batches, platform: Platform) -> None:
    cohort = nets()
    byhand = [copy.deepcopy(net).train() for net in cohort]
    means = [copy.deepcopy(net).eval() for net in cohort]
    with seeded(SEED, "fit"), seeded(SEED, "init", "ensemble"):
        joint = nn.Linear(sum(WIDTHS), 3)
    optimizer = torch.optim.SGD(
        [p for net in [*byhand, joint] for p in net.parameters()], RATE, momentum=0.9,
        weight_decay=5e-4, fused=True,
    )  # fmt: skip
    steps, at = EPOCHS * len(train), 0
    for epoch in range(EPOCHS):
        for batch in train.epoch(epoch):
            image, label = batch["batch.image"], batch["batch.label"]
            embeddings = [n.relu(n.bn(n.conv(image))).mean((2, 3)) for n in byhand]
            logits = [n.fc(z) for n, z in zip(byhand, embeddings, strict=True)]
            whole = joint(torch.cat(embeddings, 1))
            with torch.no_grad():
                steady = [net(image) for net in means]
            hard = sum(F.cross_entropy(z, label) for z in [*logits, whole])
            grown = 0.7 * math.exp(-5 * (1 - min(at / steps / 0.5, 1)) ** 2)
            loss = 0.5 * hard
            for i, z in enumerate(logits):
                others = [soft(z, m) for j, m in enumerate(steady) if j != i]
                loss = loss + grown * (soft(z, whole) + sum(others) / len(others))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            for mean, net in zip(means, byhand, strict=True):
                for a, b in zip(mean.state_dict().values(), net.state_dict().values(), strict=True):
                    if a.is_floating_point():
                        a.mul_(DECAY).add_((1 - DECAY) * b)
                    else:
                        a.copy_(b)
            at += 1
    stage = pcl(
        cohort[0], cohort[1:], temperature=T, weight=0.7, label_weight=0.5, decay=DECAY, rampup=0.5
    )
    fitted = fit(stage, train, settings=settings(), platform=platform, validation=train)
    names = ["student", "peer1", "peer2"]
    wanted = dict(zip(names, byhand, strict=True))
    wanted |= {f"mean_{name}": mean for name, mean in zip(names, means, strict=True)}
    for node, net in wanted.items():
        for key, value in net.state_dict().items():
            found = fitted.last[node][key]
            torch.testing.assert_close(found, value, atol=1e-5, rtol=1e-5, msg=f"{node}.{key}")
    weight = fitted.last["ensemble"]["fc.weight"]
    torch.testing.assert_close(weight, joint.weight, atol=1e-5, rtol=1e-5)
    assert list(fitted.history[-1]["validation"]) == [
        "student", "peer 1", "peer 2", "ensemble", "mean student",
    ]  # fmt: skip


def test_the_mean_student_is_handed_over(train: Batches, platform: Platform) -> None:
    stage = pcl(*(lambda n: (n[0], n[1:]))(nets()), decay=DECAY)
    fitted = fit(stage, train, settings=settings(), platform=platform)
    mean = stage.products["mean student"]()
    for key, value in mean.state_dict().items():
        assert torch.equal(value, fitted.last["mean_student"][key])
    assert not torch.equal(mean.fc.weight, stage.role("student").module.fc.weight)


def test_the_ensemble_reads_all_embeddings(train: Batches) -> None:
    cohort = nets()
    stage = pcl(cohort[0], cohort[1:])
    wire(stage, train.sample())
    assert stage.node("ensemble").module.fc.in_features == sum(WIDTHS)
    assert stage.learners == ("student", "peer1", "peer2", "ensemble")


def test_the_defaults_are_golden() -> None:
    stage = pcl(tiny_net(4), [tiny_net(6)])
    terms = {term.name: term for term in stage.terms()}
    assert list(terms) == [
        "label", "label_peer1", "label_ensemble",
        "ensemble", "means", "ensemble_peer1", "means_peer1",
    ]  # fmt: skip
    assert terms["means"].reads == ("student.logits", "mean_peer1.logits")
    assert terms["means_peer1"].reads == ("peer1.logits", "mean_student.logits")
    assert [terms["means"].weight_at(e, 300) for e in (0, 81)] == pytest.approx([math.exp(-5), 1.0])
    assert stage.node("mean_student").decay == 0.999


def test_what_it_refuses() -> None:
    with pytest.raises(WiringError, match=r"pcl.*it has no peer"):
        pcl(tiny_net(), [])
    with pytest.raises(RecipeError, match=r"decay is 1\.5; it must be at most 1"):
        pcl(tiny_net(), [tiny_net()], decay=1.5)
