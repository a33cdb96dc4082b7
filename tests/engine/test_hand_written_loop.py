"""A stage gives the very bits of the loop that one would write by hand."""

import copy

import torch
import torch.nn.functional as F
from tiny import tiny_net
from torch import nn

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.optimisers import sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.schedules import cosine
from stillhouse.engine.seeding import StepSeeds, seeded
from stillhouse.engine.trainer import Settings
from stillhouse.methods import kd, th_kd

EPOCHS = 3


def settings(**changes: object) -> Settings:
    fixed = {"epochs": EPOCHS, "seed": 7, "optimizer": sgd(0.1), "schedule": cosine()}
    return Settings(**{**fixed, **changes, "channels_last": False})


def loop(student, teacher, train, loss_of, *, parameters=None, seed=7, clip=None, accumulate=1):
    """Plain PyTorch: optimiser, scheduler, backward, step; and the documented seed of each step."""
    parameters = list(parameters or student.parameters())
    optimizer = torch.optim.SGD(parameters, 0.1, momentum=0.9, weight_decay=5e-4, fused=True)
    steps = EPOCHS * (len(train) // accumulate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    seeds = StepSeeds(seed, "step", 0)
    student.train()
    teacher.eval()
    step = 0
    for epoch in range(EPOCHS):
        for at, batch in enumerate(train.epoch(epoch)):
            if at >= len(train) // accumulate * accumulate:
                break  # an incomplete step is left out, like an incomplete batch
            if at % accumulate == 0:
                seeds.enter(step)
            loss = loss_of(student, teacher, batch["batch.image"], batch["batch.label"])
            (loss / accumulate).backward()
            if at % accumulate == accumulate - 1:
                if clip:
                    nn.utils.clip_grad_norm_(parameters, clip)
                optimizer.step()
                optimizer.zero_grad()
                schedule.step()
                step += 1
    return student


def kd_loss(student, teacher, image, label):
    with torch.no_grad():
        target = teacher(image)
    scores = student(image)
    soft = F.kl_div(
        F.log_softmax(scores / 4, 1),
        F.log_softmax(target / 4, 1),
        reduction="batchmean",
        log_target=True,
    )
    return 0.1 * F.cross_entropy(scores, label) + 0.9 * soft * 16


def close(mine: nn.Module, theirs: nn.Module, tolerance: float = 2e-5) -> None:
    # CosineAnnealingLR multiplies step by step, ours is the closed form: rounding of the rate.
    for (name, a), b in zip(mine.state_dict().items(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance, msg=name)


def equal(mine: nn.Module, theirs: nn.Module) -> bool:
    pairs = zip(mine.state_dict().values(), theirs.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_kd_equals_a_hand_written_loop(train: Batches, platform: Platform) -> None:
    student, teacher = tiny_net(4, 1, dropout=0.3), tiny_net(6, 2)
    by_hand = loop(copy.deepcopy(student), teacher, train, kd_loss)
    before = copy.deepcopy(teacher)
    fit(kd(student, teacher), train, settings=settings(), platform=platform)
    close(student, by_hand)
    assert equal(teacher, before)


def test_a_constant_rate_gives_the_very_bits(train: Batches, platform: Platform) -> None:
    from stillhouse.engine.schedules import constant

    student, teacher = tiny_net(4, 1), tiny_net(6, 2)
    copied = copy.deepcopy(student).train()
    optimizer = torch.optim.SGD(
        copied.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, fused=True
    )
    teacher.eval()
    for epoch in range(EPOCHS):
        for batch in train.epoch(epoch):
            scores = copied(batch["batch.image"])
            with torch.no_grad():
                target = teacher(batch["batch.image"])
            hard = F.cross_entropy(scores, batch["batch.label"], reduction="none").mean()
            soft = F.kl_div(
                F.log_softmax(scores / 4, 1), F.log_softmax(target / 4, 1),
                reduction="none", log_target=True,
            )  # fmt: skip
            soft = (soft.sum(1) * 16).mean()
            torch.dot(torch.stack([hard, soft]), torch.tensor([0.1, 0.9])).backward()
            optimizer.step()
            optimizer.zero_grad()
    fit(kd(student, teacher), train, settings=settings(schedule=constant()), platform=platform)
    assert equal(student, copied)


def test_clipping_and_accumulation_equal_a_hand_written_loop(
    train: Batches, platform: Platform
) -> None:
    student, teacher = tiny_net(4, 1), tiny_net(6, 2)
    by_hand = loop(copy.deepcopy(student), teacher, train, kd_loss, clip=0.5, accumulate=2)
    fit(kd(student, teacher), train, settings=settings(clip=0.5, accumulate=2), platform=platform)
    close(student, by_hand)


def test_th_kd_with_a_bridge_equals_a_hand_written_loop(train: Batches, platform: Platform) -> None:
    student, teacher = tiny_net(4, 1), tiny_net(6, 2)
    with seeded(7, "fit"), seeded(7, "init", "matched"):
        widen = nn.Linear(4, 6)
    mine = copy.deepcopy(student)
    alpha = 0.3

    def loss_of(net, frozen, image, label):
        with torch.no_grad():
            target = frozen(image)
        heard = []
        handle = net.fc.register_forward_pre_hook(lambda _m, args: heard.append(args[0]))
        scores = net(image)
        handle.remove()
        through = F.linear(widen(heard[0]), frozen.fc.weight.detach(), frozen.fc.bias.detach())

        def soft(own):
            log_own, log_target = F.log_softmax(own / 4, 1), F.log_softmax(target / 4, 1)
            return 16 * F.kl_div(log_own, log_target, reduction="batchmean", log_target=True)

        hard = (1 - alpha) * F.cross_entropy(scores, label) + alpha * F.cross_entropy(
            through, label
        )
        return hard + 2.0 * ((1 - alpha) * soft(scores) + alpha * soft(through))

    by_hand = loop(
        mine, teacher, train, loss_of, parameters=[*mine.parameters(), *widen.parameters()]
    )
    stage = th_kd(student, teacher, form="paper", alpha=alpha, weight=2.0)
    fitted = fit(stage, train, settings=settings(), platform=platform)
    close(student, by_hand)
    torch.testing.assert_close(fitted.last["matched"]["weight"], widen.weight, atol=2e-5, rtol=2e-5)
