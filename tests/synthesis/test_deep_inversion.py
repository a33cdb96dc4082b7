"""DeepInversion and ADI: what their images have that others have not."""

from pathlib import Path

import pytest
import torch
from tiny import GREY, grey_net
from torch import Tensor, nn

from stillhouse.data.sources.synthesis import ROWS, present, read_file
from stillhouse.engine.platform import Platform
from stillhouse.synthesis import make_maker, synthesize
from stillhouse.synthesis.inversion import Inversion
from stillhouse.synthesis.priors import NormDistance, agreement
from stillhouse.synthesis.teacher import frozen_teacher


def images(net: nn.Module, out: Path, method, count: int = 12, **more) -> Tensor:
    synthesize(net, method=method, count=count, image_shape=GREY, out=out, device="cpu", **more)
    return torch.cat([read_file(path)["image"] for path in present(out, ROWS).values()])


def inputs_of(layer: nn.Module, net: nn.Module, x: Tensor) -> Tensor:
    heard = []
    handle = layer.register_forward_hook(lambda _m, given, _out: heard.append(given[0]))
    net.eval()(x)
    handle.remove()
    return heard[0]


def test_deep_inversion_finds_the_class_and_the_statistics(
    norm_net: nn.Module, tmp_path: Path
) -> None:
    method = {"name": "deep_inversion", "steps": 150, "lr": 0.1, "clip": False, "shift": False,
              "batch": 32}  # fmt: skip
    x = images(norm_net, tmp_path / "di", method, 32)
    plain = images(norm_net, tmp_path / "plain", {**method, "bn": 0.0}, 32)
    distance = NormDistance([norm_net[1]])
    found, without = (distance(inputs_of(norm_net[1], norm_net, each)) for each in (x, plain))
    assert found < without / 2
    assert float((norm_net(x).argmax(1) == torch.arange(32) % 4).float().mean()) > 0.9


def test_clipped_images_are_in_the_range_of_pixels(norm_net: nn.Module, tmp_path: Path) -> None:
    x = images(norm_net, tmp_path, {"name": "deep_inversion", "steps": 4}, mean=(0.5,), std=(0.25,))
    assert float(x.min()) == -2.0
    assert float(x.max()) == 2.0


def test_the_batch_of_coupled_images_is_part_of_what_they_are(
    norm_net: nn.Module, tmp_path: Path
) -> None:
    images(norm_net, tmp_path, {"name": "deep_inversion", "steps": 2, "batch": 4})
    with pytest.raises(Exception, match="differs in batch"):
        images(norm_net, tmp_path, {"name": "deep_inversion", "steps": 2, "batch": 6})


def test_adi_finds_images_on_which_the_student_disagrees(
    norm_net: nn.Module, tmp_path: Path
) -> None:
    student = grey_net(seed=9).train()
    own = {"steps": 60, "bn": 0.0, "tv": 0.0, "shift": False, "clip": False}
    plain = images(norm_net, tmp_path / "di", {"name": "deep_inversion", **own})
    apart = images(norm_net, tmp_path / "adi", {"name": "adi", "student": student, "adv": 10.0,
                                                **own})  # fmt: skip
    assert student.training
    assert all(p.requires_grad for p in student.parameters())
    student.eval()
    alike = [agreement(student(x), norm_net(x)).mean() for x in (plain, apart)]
    assert alike[1] < alike[0]


def test_stages_are_wired_by_the_engine(norm_net: nn.Module, platform: Platform) -> None:
    """Synthesis is a Stage: a bridge of pixels learns through a frozen role."""
    from stillhouse.synthesis.inputs import ConstantBatch, ParameterBatch

    maker = make_maker("deep_inversion")
    assert isinstance(maker, Inversion)
    with frozen_teacher(norm_net, GREY, platform) as subject:
        stage = maker.stage(
            subject, ParameterBatch(torch.zeros(4, *GREY)), ConstantBatch(torch.eye(4))
        )
    assert stage.learners == ("pixels",)
    assert [term.name for term in stage.terms()] == ["target", "bn", "tv"]
