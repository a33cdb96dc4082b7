"""SimKD: the loop by hand, the model that it makes, what it refuses."""

import copy
import io

import pytest
import torch
import torch.nn.functional as F
from by_hand import Batch, Nets, equals_by_hand, frozen, of_toy, same, trained
from torch import Tensor, nn

from stillhouse.bridges import TailModel
from stillhouse.deploy.program import export
from stillhouse.engine.facts import facts_of
from stillhouse.errors import ModelError, WiringError
from stillhouse.methods import simkd
from stillhouse.testing.toy import ToyNet, taught, toy_batches, untaught

pytestmark = pytest.mark.programs


def last(net: ToyNet, image: Tensor) -> Tensor:
    return net.down(net.relu(net.bn(net.conv(image))))


def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
    first, bn1, _, second, bn2, _, third, bn3, _ = nets["projected"].layers
    hidden = bn1(F.conv2d(last(nets["student"], batch["batch.image"]), first.weight)).relu()
    hidden = bn2(F.conv2d(hidden, second.weight, padding=1)).relu()
    _, target, _ = frozen(of_toy, nets["teacher"], batch)
    return 3.0 * (bn3(F.conv2d(hidden, third.weight)).relu() - target).square().mean()


def test_it_equals_a_loop_by_hand() -> None:
    stage = simkd(untaught(4), taught(6), weight=3.0)
    learning, tolerance = ["student", "projected"], (2e-5, 2e-4)
    equals_by_hand(stage, toy_batches(), objective, learning=learning, tolerance=tolerance)


def test_the_students_own_head_is_neither_trained_nor_measured() -> None:
    student, train = untaught(4), toy_batches()
    before = copy.deepcopy(student.fc)
    fitted = trained(simkd(student, taught(6)), train, validation=train)
    same(student.fc, before)
    assert set(fitted.history[-1]["validation"]) == {"teacher head"}


def test_the_product_is_a_model_by_itself() -> None:
    """As images through the student, the projector and the teacher's classifier; exported, too."""
    student, teacher, train = untaught(4), taught(6), toy_batches()
    stage = simkd(student, teacher).completed(facts_of(train))
    trained(stage, train, epochs=1)
    made, image = stage.products["teacher head"]().eval(), train.sample()["batch.image"]
    projected = stage.node("projected").module.eval()
    with torch.no_grad():
        wanted = teacher.eval().fc(projected(last(student.eval(), image)).mean((2, 3)))
        torch.testing.assert_close(made(image), wanted)
        teacher.fc.weight.zero_()
        student.conv.weight.zero_()
        torch.testing.assert_close(made(image), wanted)
        program = torch.export.load(io.BytesIO(export(made, image))).module()
        torch.testing.assert_close(program(image), wanted)
    assert not any(part._forward_hooks for part in made.modules())


def test_a_model_goes_on_from_any_tap() -> None:
    net, image = untaught(4).eval(), toy_batches().sample()["batch.image"]
    assert torch.equal(TailModel(net, "fc:in", nn.Identity())(image), last(net, image).mean((2, 3)))
    with pytest.raises(ModelError, match="no place to go on from: ToyNet has no module 'don'"):
        TailModel(net, "don", nn.Identity())


def test_vectors_serve_as_maps_of_one_position() -> None:
    stage = simkd(untaught(4), taught(6), student_feature="embedding", teacher_feature="embedding")
    trained(stage, toy_batches(), epochs=1)
    assert stage.products["teacher head"]()(torch.zeros(2, 3, 8, 8)).shape == (2, 3)


def test_what_cannot_be() -> None:
    train = toy_batches()
    with pytest.raises(WiringError, match="head 'fc' does not read the average of 'relu'"):
        simkd(untaught(4), taught(6), teacher_feature="relu").completed(facts_of(train))
    plain = nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3)
    )
    with pytest.raises(WiringError, match=r"'0' of the teacher has values below 0 .*relu: false"):
        simkd(untaught(4), plain).completed(facts_of(train))
    without = simkd(untaught(4), plain, relu=False).completed(facts_of(train))
    assert without.notes["pairs"] == "down - 0"
    with pytest.raises(WiringError, match="'projected' was not sized yet"):
        without.products["teacher head"]()
