"""Every method of the catalogue keeps the contract; each broken promise is caught and named."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from stillhouse.engine.nodes import Bridge, Role
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.stepper import Stepper
from stillhouse.engine.terms import Term
from stillhouse.functional import cross_entropy, kl, mse
from stillhouse.methods import (
    METHODS,
    Method,
    deit,
    dist,
    dml,
    embedding_kd,
    find_method,
    kd,
    kdcl,
    plain,
    tf_kd_reg,
    th_kd,
)
from stillhouse.testing import ContractError, check_method

EQUAL_WIDTHS_DIFFER = ("embedding_kd", "fitnet", "okddip", "th_kd", "vid")
"""Methods that compose something else where student and teacher are equally wide."""


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_the_catalogue_keeps_the_contract(method: Method) -> None:
    check_method(method, widths=[(4, 6)])


@pytest.mark.parametrize("name", EQUAL_WIDTHS_DIFFER)
def test_the_contract_holds_at_equal_widths(name: str) -> None:
    check_method(find_method(name), widths=[(4, 4)])


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_th_kd_keeps_the_contract_in_its_paper_form(alpha: float) -> None:
    check_method(th_kd, options={"form": "paper", "alpha": alpha}, widths=[(4, 6)])


@pytest.mark.parametrize("distance", ["l2", "cosine", "contrastive"])
def test_embedding_kd_keeps_the_contract_with_each_distance(distance: str) -> None:
    check_method(embedding_kd, options={"distance": distance}, widths=[(4, 6)])


def test_tf_kd_reg_keeps_the_contract_in_its_paper_form() -> None:
    check_method(tf_kd_reg, options={"form": "paper"}, widths=[(4, 4)])


@pytest.mark.parametrize("options", [{"form": "soft"}, {"alpha": 1.0}], ids=["soft", "teacher"])
def test_deit_keeps_the_contract_in_its_other_forms(options: dict[str, object]) -> None:
    check_method(deit, options=options, widths=[(4, 6)])


def test_dist_keeps_the_contract_with_t_squared() -> None:
    check_method(dist, options={"form": "code"}, widths=[(4, 6)])


def test_dml_keeps_the_contract_when_its_networks_take_turns() -> None:
    check_method(dml, options={"update": "alternating"}, widths=[(4, 6)])


@pytest.mark.parametrize("ensemble", ["linear", "mean", "best"])
def test_kdcl_keeps_the_contract_with_each_ensemble(ensemble: str) -> None:
    check_method(kdcl, options={"ensemble": ensemble}, widths=[(4, 6)])


LABEL = Term("label", cross_entropy, ["student.logits", "batch.label"])


def stage_of(*nodes: object, learns: object = "student", terms: object = (), **rest: object):
    return Stage("mine", nodes, [Update(learns, [LABEL, *terms])], **rest)


def by_position(student: nn.Module, teacher: nn.Module, temperature: float = 4.0) -> Stage:
    return kd(student, teacher, temperature=temperature)


def other_names(model: nn.Module, big: nn.Module) -> Stage:
    return kd(model, big)


def no_stage(student: nn.Module) -> nn.Module:
    return student


def unbridged(student: nn.Module, teacher: nn.Module) -> Stage:
    hint = Term("hint", mse, ["student.embedding", "teacher.embedding"])
    return stage_of(Role("student", student), Role("teacher", teacher), terms=[hint])


def away_from_the_labels(student: nn.Module) -> Stage:
    term = Term("label", cross_entropy, ["student.logits", "batch.label"], weight=-1.0)
    return Stage("mine", [Role("student", student)], [Update("student", [term])])


def both_learn(student: nn.Module, teacher: nn.Module) -> Stage:
    term = Term("kd", kl, ["student.logits", "teacher.logits"], through=True)
    nodes = [Role("student", student), Role("teacher", teacher)]
    return stage_of(*nodes, learns=["student", "teacher"], terms=[term])


def runs_the_teacher_itself(student: nn.Module, teacher: nn.Module) -> Stage:
    teacher(torch.randn(8, 3, 8, 8))  # in the mode that it came in: batch norm moves
    return kd(student, teacher)


def borrows_the_head(student: nn.Module, teacher: nn.Module) -> Stage:
    borrowed = Bridge("borrowed", lambda z: teacher.fc(z), "student.embedding")
    term = Term("borrowed", cross_entropy, ["borrowed", "batch.label"])
    return stage_of(Role("student", student), borrowed, terms=[term])


def switches_flags(student: nn.Module, teacher: nn.Module) -> Stage:
    teacher.eval()
    return kd(student, teacher)


def freezes(student: nn.Module, teacher: nn.Module) -> Stage:
    teacher.requires_grad_(False)
    return kd(student, teacher)


def moves_a_frozen_parameter(student: nn.Module, teacher: nn.Module) -> Stage:
    for parameter in student.parameters():
        parameter.data += 0.1
    return kd(student, teacher)


def leaves_a_hook(student: nn.Module, teacher: nn.Module) -> Stage:
    student.fc.register_forward_hook(lambda *_: None)
    return kd(student, teacher)


class Wrapped(nn.Module):
    def __init__(self, inner: nn.Module, teacher: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, image: Tensor) -> Tensor:
        return self.gain * self.inner(image)


def wraps_the_student(student: nn.Module, teacher: nn.Module) -> Stage:
    return kd(Wrapped(student, teacher), teacher)


def keeps_the_teacher(student: nn.Module, teacher: nn.Module) -> Stage:
    stage = kd(student, teacher)
    return Stage(stage.name, stage.nodes, stage.updates, stage.measures, keeps="teacher")


def hands_over_the_bare_student(student: nn.Module, teacher: nn.Module) -> Stage:
    stage = th_kd(student, teacher)
    return replace(stage, products={"teacher head": lambda: student})


def hands_over_what_nobody_measures(student: nn.Module, teacher: nn.Module) -> Stage:
    return replace(kd(student, teacher), products={"other": lambda: student})


SECRET = itertools.count()


def draws_its_own_numbers(student: nn.Module) -> Stage:
    def loss(logits: Tensor, label: Tensor) -> Tensor:
        return cross_entropy(logits, label) * (1 + 0.01 * next(SECRET))

    term = Term("moody", loss, ["student.logits", "batch.label"])
    return stage_of(Role("student", student), terms=[term])


def remembers_in_an_attribute(student: nn.Module) -> Stage:
    seen: list[Tensor] = []

    def loss(logits: Tensor, label: Tensor) -> Tensor:
        seen.append(logits.detach().mean())
        return cross_entropy(logits, label) * (1 + torch.stack(seen).mean().abs())

    term = Term("mean", loss, ["student.logits", "batch.label"])
    return stage_of(Role("student", student), terms=[term])


BROKEN = [
    (by_position, "keyword-only", "'temperature' can be given by position"),
    (other_names, "keyword-only", "if it has them, teacher or peers; not model, big"),
    (no_stage, "composes", "it gives a ToyNet, not a Stage"),
    (unbridged, "composes", r"term 'hint' does not fit .* \(widths .*: 4 and 6\)"),
    (away_from_the_labels, "learns", "the loss went from"),
    (both_learn, "teacher unchanged", "conv.weight.* of the teacher changed"),
    (runs_the_teacher_itself, "teacher unchanged", "bn.running_mean.* of the teacher changed"),
    (borrows_the_head, "no gradient", "fc.bias of the teacher got a gradient"),
    (switches_flags, "flags", "of the teacher, module '' was in train mode and is in eval"),
    (freezes, "flags", "of the teacher, requires_grad of 'conv.weight' was True and is False"),
    (moves_a_frozen_parameter, "flags", "conv.bias of the student was frozen and has moved"),
    (leaves_a_hook, "hooks", "of the student, module 'fc' had 0 hooks and has 1"),
    (wraps_the_student, "product", "do not load into the bare student: .*inner.conv.weight"),
    (keeps_the_teacher, "composes", "no update trains 'teacher', whose weights are kept"),
    (hands_over_the_bare_student, "products", "'teacher head' and its measure differ by"),
    (hands_over_what_nobody_measures, "products", "no measure is called 'other'.* there is stud"),
    (draws_its_own_numbers, "same seed", "a second run with the same seed ends with other"),
    (remembers_in_an_attribute, "resume", "stopped and resumed ends .*in buffers or parameters"),
]


@pytest.mark.parametrize(
    ("method", "promise", "message"), BROKEN, ids=[method.__name__ for method, _, _ in BROKEN]
)
def test_a_broken_promise_is_caught_and_named(
    method: Callable[..., Stage], promise: str, message: str
) -> None:
    with pytest.raises(ContractError, match=message) as caught:
        check_method(method)
    assert caught.value.promise == promise
    assert f"method '{method.__name__}'" in str(caught.value)


def test_a_teacher_that_answers_anew_each_time_cannot_be_replayed() -> None:
    def noise(student: nn.Module, teacher: nn.Module) -> Stage:
        def answer(z: torch.Tensor) -> torch.Tensor:  # apart by less than another machine would be
            return nn.Linear.forward(teacher.fc, z) + 1e-4 * torch.randn(len(z), 1)

        teacher.fc.forward = answer
        return kd(student, teacher)

    with pytest.raises(ContractError, match="a run with a cached teacher ends with other") as e:
        check_method(noise)
    assert e.value.promise == "replay"


def test_a_term_that_is_not_in_the_metrics_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stepper, "means", lambda self: {"kd": 1.0})
    with pytest.raises(ContractError, match="'terms' of the metrics lacks label") as caught:
        check_method(kd, widths=[(4, 4)])
    assert caught.value.promise == "metrics"


def test_a_method_without_a_teacher_is_checked_without_one() -> None:
    def smoothed(student: nn.Module, *, weight: float = 1.0) -> Stage:
        return plain(student)

    check_method(smoothed, widths=[(4, 4)])
