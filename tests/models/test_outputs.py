"""Which of what a network returns is its logits: told by its name, alone, or asked for."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stillhouse.engine.nodes import Ema, Role
from stillhouse.errors import WiringError
from stillhouse.methods import cs_kd, ema_kd, kd
from stillhouse.models import Ensemble
from stillhouse.models.outputs import NamedOutputs, all_outputs, logits_among, named_outputs

WIDE, LOGITS, AUX = torch.zeros(4, 6), torch.ones(4, 3), torch.full((4, 3), 2.0)
Inception = namedtuple("Inception", ["logits", "aux_logits"])


@dataclass
class Scores:
    hidden: Tensor
    logits: Tensor


class Named(NamedTuple):
    features: Tensor
    scores: Tensor


@pytest.mark.parametrize(
    ("output", "names"),
    [
        (LOGITS, ["logits"]),
        ((None, WIDE, "x", [AUX]), ["1"]),
        ([WIDE, LOGITS], ["0", "1"]),
        (OrderedDict(loss=None, logits=LOGITS, states=(AUX,), n=3), ["logits"]),
        (Scores(WIDE, LOGITS), ["hidden", "logits"]),
        (SimpleNamespace(logits=LOGITS, kind="x"), ["logits"]),
        (Named(WIDE, LOGITS), ["features", "scores", "0", "1"]),
        *(((), []), (None, []), ("x", []), (np.zeros((4, 3)), []), (1.5, [])),
    ],
)
def test_outputs_have_the_names_that_a_network_gave_them(output, names) -> None:
    assert list(all_outputs(output)) == names


@pytest.mark.parametrize(
    ("output", "asked", "classes", "found"),
    [
        (Scores(WIDE, LOGITS), None, None, "logits"),
        (Inception(LOGITS, AUX), None, 3, "logits"),
        ({"out": LOGITS}, None, None, "out"),
        ((None, LOGITS), None, None, "1"),
        ((WIDE, LOGITS), None, None, None),
        ((WIDE, LOGITS), None, 3, "1"),
        ((LOGITS, AUX), None, 3, None),
        ((LOGITS, AUX), 1, 3, "1"),
        (Named(WIDE, LOGITS), None, 3, "scores"),
        (Named(WIDE, LOGITS), "scores", None, "scores"),
        ({"logits": LOGITS, "other": AUX}, "other", 3, "other"),
        ((LOGITS, AUX), 2, 3, None),
        ((torch.zeros(4, 3, 3), LOGITS), None, 3, "1"),
        (((WIDE, LOGITS),), None, 3, None),
    ],
)
def test_one_rule_says_which_is_the_logits(output, asked, classes, found) -> None:
    outputs = all_outputs(output)
    assert logits_among(outputs, asked, classes) == found
    named = named_outputs(output, asked, classes)
    assert ("logits" in named) is (found is not None), "nothing is guessed"
    if found is not None:
        assert named["logits"] is outputs[found]


class Net(nn.Module):
    """Gives its two vectors in a form, the logits where the form has them."""

    def __init__(self, form) -> None:
        super().__init__()
        self.body, self.fc = nn.Linear(4, 6), nn.Linear(6, 3)
        self.form = form

    def forward(self, x: Tensor) -> object:
        hidden = self.body(x).relu()
        return self.form(hidden, self.fc(hidden))


def batch() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(4, 4), torch.tensor([0, 1, 2, 0])


FORMS = {
    "dataclass": (Scores, None),
    "dict": (lambda h, z: {"hidden": h, "logits": z}, None),
    "named tuple": (Named, "scores"),
    "features first": (lambda h, z: (h, z), 1),
    "list, by name": (lambda h, z: [z, h], "0"),
    "object": (lambda h, z: SimpleNamespace(a=h, b=z), "b"),
}


@pytest.mark.parametrize("form", FORMS)
def test_both_sides_of_kd_may_return_any_form(form) -> None:
    make, output = FORMS[form]
    nets = [Net(make), Net(make)]
    images, labels = batch()
    stage = kd(*nets).with_output("student", output).with_output("teacher", output)
    with torch.no_grad():
        student, teacher = (net.fc(net.body(images).relu()) for net in nets)
    p, q = ((z / 4).double().softmax(1) for z in (teacher, student))
    wanted = 16 * (p * (p / q).log()).sum(1).mean()
    with stage.open(images, labels) as objective:
        assert objective(images, labels).terms["kd"].item() == pytest.approx(
            wanted.item(), rel=1e-4
        )


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (
            lambda h, z: (z, z + h.sum()),
            r"it gives several outputs.*0 \[4, 3\], 1 \[4, 3\].*output: 0",
        ),
        (
            lambda h, z: (h, z),
            r"it gives .* none is called 'logits' \(0 \[4, 6\], 1 \[4, 3\]\); say which",
        ),
        (lambda h, z: None, "it gives None; wanted is a tensor"),
        (lambda h, z: z.detach().numpy(), r"it gives a numpy\.ndarray; wanted"),
        (lambda h, z: [], "it gives a list without any tensor"),
    ],
)
@pytest.mark.parametrize("role", ["student", "teacher"])
def test_what_is_no_logits_is_told_in_a_sentence(form, said, role) -> None:
    plain = Net(lambda h, z: z)
    nets = (Net(form), plain) if role == "student" else (plain, Net(form))
    with pytest.raises(WiringError, match=f"{role}: {said}"):
        kd(*nets).open(*batch())


def test_an_output_that_is_not_there_is_told_with_those_that_are() -> None:
    stage = kd(Net(Scores), Net(Scores)).with_output("teacher", "logit")
    with pytest.raises(WiringError, match=r"no output 'logit'.*nearest: logits"):
        stage.open(*batch())


def test_a_network_with_further_outputs_in_train_mode_only_needs_no_more_words() -> None:
    class Aux(Net):
        def forward(self, x: Tensor) -> object:
            hidden = self.body(x)
            logits = self.fc(hidden)
            return (logits, logits * 2) if self.training else logits

    images, labels = batch()
    net = Aux(None)
    with kd(net, Net(Scores)).with_output("student", 0).open(images, labels) as objective:
        given = objective(images, labels)
    wanted = nn.functional.cross_entropy(net.fc(net.body(images)), labels)
    assert given.terms["label"].item() == pytest.approx(wanted.item(), rel=1e-5)


def test_roles_of_the_same_network_share_the_choice() -> None:
    stage = ema_kd(Net(lambda h, z: (h, z))).with_output("student", 1)
    roles = [node for node in stage.nodes if isinstance(node, Role)]
    assert any(isinstance(node, Ema) for node in roles)
    assert {node.output for node in roles} == {1}
    with stage.open(*batch()) as objective:
        assert objective(*batch()).loss.isfinite()
    pair = cs_kd(Net(lambda h, z: (h, z))).with_output("student", 1)
    assert {node.output for node in pair.nodes if isinstance(node, Role)} == {1}


def test_an_ensemble_takes_members_of_any_form() -> None:
    members = [Net(Scores), Net(Inception)]
    members[1].form = lambda h, z: Inception(z, h)
    images, _ = batch()
    with torch.no_grad():
        found = Ensemble(members)(images)["logits"].exp()
        wanted = sum(net.fc(net.body(images).relu()).softmax(1) for net in members) / 2
    assert torch.allclose(found, wanted, atol=1e-6)


def test_a_hook_gives_the_logits_to_all_who_run_a_network() -> None:
    net = Net(lambda h, z: (h, z))
    net.register_forward_hook(NamedOutputs(None, 3))
    images, _ = batch()
    given = net(images)
    assert sorted(given) == ["0", "1", "logits"]
    assert torch.equal(given["logits"], given["1"])
