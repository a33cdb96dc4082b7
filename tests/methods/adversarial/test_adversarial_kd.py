"""Adversarial KD: a hand-written loop of critic and student, on logits and on embeddings."""

import copy

import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_net

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.optimisers import constant, sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
from stillhouse.engine.wiring import wire
from stillhouse.errors import RecipeError
from stillhouse.methods import adversarial_kd
from stillhouse.testing import check_method

EPOCHS, T, WEIGHT, KD = 3, 2.0, 0.5, 0.7


def optimiser(*modules: torch.nn.Module) -> torch.optim.Optimizer:
    every = [p for module in modules for p in module.parameters()]
    return torch.optim.SGD(every, 0.1, momentum=0.9, weight_decay=5e-4)


@pytest.mark.parametrize("on", ["logits", "embedding"])
def test_it_equals_a_hand_written_loop(on: str, train: Batches, platform: Platform) -> None:
    student, teacher = tiny_net(4, 1), tiny_net(6, 2)
    stage = adversarial_kd(
        student, teacher, on=on, weight=WEIGHT, kd_weight=KD, temperature=T, hidden=5
    )
    wire(stage, train.sample())  # builds critic and map
    net, frozen = copy.deepcopy(student).train(), copy.deepcopy(teacher).eval()
    critic = copy.deepcopy(stage.node("judged").module)
    matched = torch.nn.Identity()
    if on == "embedding":
        matched = copy.deepcopy(stage.node("matched").module)
        assert isinstance(matched, torch.nn.Linear)

    def said(model: torch.nn.Module, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        embedding = model.relu(model.bn(model.conv(image))).mean((2, 3))
        logits = model.fc(embedding)
        return logits, embedding if on == "embedding" else logits

    learning = optimiser(net, matched)
    judging = torch.optim.AdamW(critic.parameters(), 1e-3, weight_decay=0.0)
    for epoch in range(EPOCHS):
        for batch in train.epoch(epoch):
            image, label = batch["batch.image"], batch["batch.label"]
            with torch.no_grad():
                theirs, shown = said(frozen, image)
                mine = matched(said(net, image)[1])
            real, fake = critic.layers(shown)[:, 0], critic.layers(mine)[:, 0]
            ones, zeros = torch.ones(8), torch.zeros(8)
            loss = F.binary_cross_entropy_with_logits(real, ones)
            (loss + F.binary_cross_entropy_with_logits(fake, zeros)).backward()
            judging.step()
            judging.zero_grad()
            logits, mine = said(net, image)
            soft = F.softmax(theirs / T, 1)
            gap = (soft * (soft.log() - F.log_softmax(logits / T, 1))).sum(1).mean() * T**2
            fooled = critic.layers(matched(mine))[:, 0]
            fool = F.binary_cross_entropy_with_logits(fooled, ones)
            (F.cross_entropy(logits, label) + KD * gap + WEIGHT * fool).backward()
            learning.step()
            learning.zero_grad()
            judging.zero_grad()  # of what passed through it
    settings = Settings(EPOCHS, optimizer=sgd(0.1), schedule=constant(), channels_last=False)
    fit(stage, train, settings=settings, platform=platform)
    for mine, theirs in ((student, net), (stage.node("judged").module, critic)):
        pairs = zip(mine.state_dict().items(), theirs.state_dict().values(), strict=True)
        for (name, a), b in pairs:
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5, msg=name)


def test_the_critic_wins_against_a_student_that_does_not_listen(
    train: Batches, platform: Platform
) -> None:
    def told(weight: float) -> float:
        stage = adversarial_kd(tiny_net(4, 1), tiny_net(4, 2), weight=weight, kd_weight=0.0)
        return fit(stage, train, settings=Settings(12), platform=platform).history[-1]["terms"][
            "tell"
        ]

    assert told(0.0) < 1.0 < told(1.0), "chance is 1.386"


def test_embeddings_keep_the_contract() -> None:
    check_method(adversarial_kd, options={"on": "embedding"}, widths=[(4, 6)])


def test_rate_and_loss_of_an_epoch_are_the_students(train: Batches, platform: Platform) -> None:
    stage = adversarial_kd(tiny_net(4, 1), tiny_net(4, 2))
    settings = Settings(1, optimizer=sgd(0.05), schedule=constant())
    (record,) = fit(stage, train, settings=settings, platform=platform).history
    assert record["lr"] == 0.05
    mine = [name for name in record["terms"] if name != "tell"]
    wanted = sum(record["weights"][name] * record["terms"][name] for name in mine)
    assert record["loss"] == pytest.approx(wanted)


def test_no_kd_leaves_the_term_out() -> None:
    stage = adversarial_kd(tiny_net(), tiny_net(), kd_weight=0.0)
    assert [term.name for term in stage.terms()] == ["tell", "label", "fool"]


def test_settings_out_of_range_are_told() -> None:
    with pytest.raises(RecipeError) as caught:
        adversarial_kd(tiny_net(), tiny_net(), on="features", hidden=0)
    assert [problem.split(";")[0] for problem in caught.value.problems] == [
        "on is 'features'",
        "hidden is 0",
    ]
