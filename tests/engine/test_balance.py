"""Balance: after it the terms pull as they were told to, and nothing else has changed."""

from itertools import islice

import pytest
import torch

from stillhouse.engine.balance import balanced
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import open_platform
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import OverTraining, Term, ramp
from stillhouse.engine.trainer import Settings
from stillhouse.errors import WiringError
from stillhouse.functional import cross_entropy, kl, rkd_distance
from stillhouse.methods import annealing_kd, ema_kd, ps_kd, snapshot_kd
from stillhouse.methods.roles import label_term
from stillhouse.testing.toy import taught, toy_batches, untaught

PLATFORM = open_platform(device="cpu", precision="fp32")
SETTINGS = Settings(epochs=4, seed=5)


def stage_of(*terms: Term) -> Stage:
    student = untaught(4)
    student.drop.p = 0.0
    nodes = [Role("student", student), Role("teacher", taught(6))]
    return Stage("mine", nodes, [Update("student", [label_term(0.5), *terms])])


def soft(weight: object = 3.0) -> Term:
    return Term("kd", kl, ["student.logits", "teacher.logits"], weight=weight)


def relation() -> Term:
    return Term("rkd", rkd_distance, ["student.embedding", "teacher.embedding"], weight=25.0)


def pulls(stage: Stage, batches: int) -> dict[str, float]:
    """By hand: gradients of the mean of each term, one batch after the other."""
    student, teacher = (stage.role(name).module for name in ("student", "teacher"))
    student.train()
    teacher.eval()
    total = {"label": 0.0, "kd": 0.0, "rkd": 0.0}
    seen: dict[str, torch.Tensor] = {}
    hooks = [
        student.fc.register_forward_pre_hook(lambda _m, args: seen.update(s=args[0])),
        teacher.fc.register_forward_pre_hook(lambda _m, args: seen.update(t=args[0])),
    ]
    for batch in islice(toy_batches().epoch(0), batches):
        image, label = batch["batch.image"], batch["batch.label"]
        z, t = student(image), teacher(image).detach()
        values = {
            "label": cross_entropy(z, label).mean(),
            "kd": kl(z, t).mean(),
            "rkd": rkd_distance(seen["s"], seen["t"].detach()),
        }
        for name, value in values.items():
            found = torch.autograd.grad(
                value, list(student.parameters()), retain_graph=True, allow_unused=True
            )
            total[name] += sum(g.double().square().sum().item() for g in found if g is not None)
    for hook in hooks:
        hook.remove()
    return {name: value**0.5 for name, value in total.items()}


def test_terms_pull_as_hard_as_the_labels_together() -> None:
    given = stage_of(soft(), relation())
    found = balanced(given, toy_batches(), SETTINGS, PLATFORM, share=2.0, batches=3)
    weights = {term.name: term.weight_at(0.0) for term in found.terms()}
    by_hand = pulls(stage_of(soft(), relation()), 3)
    pull = {name: weights[name] * by_hand[name] for name in weights}
    assert weights["label"] == 1.0, "the size of the loss is that of the labels alone"
    assert pull["kd"] == pytest.approx(pull["label"], rel=1e-4), "two terms share 2.0"
    assert pull["rkd"] == pytest.approx(pull["label"], rel=1e-4)
    said = f"label 1, kd {weights['kd']:.4g}, rkd {weights['rkd']:.4g}"
    assert found.notes["balance"] == said


@pytest.mark.parametrize("method", [annealing_kd, ema_kd, ps_kd, snapshot_kd])
def test_terms_that_are_one_formula_are_not_weighed_apart(method) -> None:
    nets = (untaught(4), taught(6)) if method is annealing_kd else (untaught(4),)
    with pytest.raises(WiringError, match=r"balance cannot weigh '(kd|past|logits)'.*leave 'bal"):
        balanced(method(*nets), toy_batches(), SETTINGS, PLATFORM)


def test_a_bound_term_keeps_its_weight_beside_others() -> None:
    bound = Term("rkd", rkd_distance, relation().reads, weight=25.0, bound=True)
    found = balanced(stage_of(soft(), bound), toy_batches(), SETTINGS, PLATFORM)
    alone = balanced(stage_of(soft()), toy_batches(), SETTINGS, PLATFORM)
    weights = {term.name: term.weight_at(0.0) for term in found.terms()}
    assert weights["rkd"] == 25.0
    assert weights["kd"] == pytest.approx(list(alone.terms())[1].weight_at(0.0), rel=1e-5)
    assert "rkd" not in found.notes["balance"]


def test_nothing_is_moved_by_looking() -> None:
    given = stage_of(soft())
    student = given.role("student").module
    before = {key: value.clone() for key, value in student.state_dict().items()}
    balanced(given, toy_batches(), SETTINGS, PLATFORM)
    assert all(torch.equal(v, before[k]) for k, v in student.state_dict().items())
    assert all(p.grad is None for p in student.parameters())
    assert [t.weight_at(0.0) for t in given.terms()] == [0.5, 3.0], "the given stage is as it was"


@pytest.mark.parametrize(
    "weight", [ramp(3.0, epochs=2), OverTraining(lambda share: 3.0 * share)], ids=["ramp", "share"]
)
def test_a_weight_that_changes_keeps_its_form(weight: object) -> None:
    constant, changing = (
        list(balanced(stage_of(soft(w)), toy_batches(), SETTINGS, PLATFORM).terms())[1]
        for w in (3.0, weight)
    )
    assert changing.weight_at(4.0, 4.0) == pytest.approx(constant.weight_at(0.0))
    assert changing.weight_at(1.0, 4.0) == pytest.approx(
        soft(weight).weight_at(1.0, 4.0) / 3.0 * constant.weight_at(0.0)
    )


def test_the_given_weight_does_not_matter_and_zero_stays_zero() -> None:
    found = [
        list(balanced(stage_of(soft(w)), toy_batches(), SETTINGS, PLATFORM).terms())[1].weight
        for w in (1.0, 100.0, 0.0)
    ]
    assert found[0] == pytest.approx(found[1])
    assert found[2] == 0.0
