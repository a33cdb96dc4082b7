"""Generators: trained in turns with a student, drawn from, resumed."""

from pathlib import Path

import pytest
import torch
from tiny import GREY, grey_net
from torch import Tensor, nn

from stillhouse.data.sources.synthesis import ROWS, present, read_file
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Trainer
from stillhouse.errors import ModelError, RecipeError
from stillhouse.models import load_weights, weights_fingerprint
from stillhouse.synthesis import make_maker, synthesize
from stillhouse.synthesis.generator import Generator
from stillhouse.synthesis.generator_training import GeneratorTraining
from stillhouse.synthesis.inputs import gaussian_noise
from stillhouse.synthesis.priors import gap, imbalance, inactivity, one_hot
from stillhouse.synthesis.teacher import frozen_teacher

SMALL = {"width": 4, "latent": 8, "batch_size": 32, "steps": 50, "lr": 0.01}


def images(net: nn.Module, out: Path, name: str, count: int = 64, **more) -> Tensor:
    method = {"name": name, "student": grey_net(seed=7), **SMALL, **more}
    synthesize(net, method=method, count=count, image_shape=GREY, out=out, device="cpu")
    return torch.cat([read_file(path)["image"] for path in present(out, ROWS).values()])


def objective(net: nn.Module, x: Tensor) -> float:
    """What DAFL lowers, with the weights of its defaults."""
    with torch.no_grad():
        embedding = net.eval()[:-1](x)
        logits = net[-1](embedding)
    value = one_hot(logits).mean() + 1e-3 * inactivity(embedding).mean() + 20 * imbalance(logits)
    return float(value)


def test_the_generator_of_dafl_lowers_its_objective(net: nn.Module, tmp_path: Path) -> None:
    before = images(net, tmp_path / "first", "dafl", steps=1)
    after = images(net, tmp_path / "last", "dafl")
    assert objective(net, after) < objective(net, before) - 1.0


def test_the_student_of_dfad_comes_nearer_and_is_kept(net: nn.Module, tmp_path: Path) -> None:
    x = images(net, tmp_path, "dfad", steps=200, student_lr=0.02, lr=1e-4)
    fresh, trained = grey_net(seed=7), grey_net(seed=7)
    load_weights(trained, tmp_path / "work" / "student.safetensors")
    net.eval()
    assert gap(trained(x), net(x)).mean() < gap(fresh(x), net(x)).mean() / 2
    assert weights_fingerprint(fresh) == weights_fingerprint(grey_net(seed=7))


def test_the_generator_moves_every_so_often_and_away(net: nn.Module, platform: Platform) -> None:
    maker = make_maker({"name": "dfad", "student": grey_net(seed=7), **SMALL, "every": 3})
    assert isinstance(maker, GeneratorTraining)
    with frozen_teacher(net, GREY, platform) as subject:
        stage = maker.stage(subject, seed=0)
    assert [(update.learners, update.every) for update in stage.updates] == [
        (("student",), 1),
        (("images",), 3),
    ]


def test_images_are_the_generators_at_fixed_numbers(net: nn.Module, tmp_path: Path) -> None:
    x = images(net, tmp_path, "dafl", count=10, steps=3)
    generator = Generator(GREY, (0.0,), (1.0,), latent=8, width=4)
    load_weights(generator, tmp_path / "work" / "generator.safetensors")
    drawn = generator.eval()(gaussian_noise(0, torch.arange(10), [8]))
    assert torch.allclose(x, drawn, atol=1e-6)
    assert images(net, tmp_path, "dafl", count=14, steps=3)[:10].equal(x), "more can be drawn later"


def test_a_killed_training_goes_on(
    net: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at
) -> None:
    whole = images(net, tmp_path / "whole", "dafl", steps=60)
    with monkeypatch.context() as patched:
        patched.setattr("stillhouse.synthesis.generator_training.CHECKPOINT_SECONDS", 0.0)
        kill_at(patched, Trainer, "_step", after=55)
        with pytest.raises(KeyboardInterrupt):
            images(net, tmp_path / "killed", "dafl", steps=60)
    assert (tmp_path / "killed" / "work" / "checkpoint.pt").exists()
    steps, real = [], Trainer._step
    monkeypatch.setattr(Trainer, "_step", lambda *a: steps.append(a[2]) or real(*a))
    again = images(net, tmp_path / "killed", "dafl", steps=60)
    assert steps[0] > 40
    assert again.equal(whole)


def test_images_are_drawn_from_snapshots_in_turn(net: nn.Module, tmp_path: Path) -> None:
    """A snapshot is the generator of a training that ended there."""
    x = images(net, tmp_path / "both", "dfad", count=9, steps=8, snapshots=2)
    for steps, part in ((6, slice(0, None, 2)), (8, slice(1, None, 2))):
        ended = images(net, tmp_path / str(steps), "dfad", count=9, steps=steps)
        assert torch.allclose(x[part], ended[part], atol=1e-6)
        other = slice(1 - (part.start or 0), None, 2)
        assert not torch.allclose(x[other], ended[other], atol=1e-4)


def test_one_snapshot_is_the_generator_at_the_end(net: nn.Module, tmp_path: Path) -> None:
    asked = make_maker({"name": "dafl", "student": "mlp-8", "snapshots": 1})
    assert "snapshots" not in asked.settings, "what was begun before there were any goes on"
    assert images(net, tmp_path / "a", "dafl", steps=3, snapshots=1).equal(
        images(net, tmp_path / "b", "dafl", steps=3)
    )
    assert make_maker({"name": "dafl", "student": "mlp-8", "snapshots": 3}).settings["snapshots"]
    for wrong, said in (
        ({"snapshots": 0}, "snapshots is 0; it must be at least 1"),
        ({"snapshots": 3, "steps": 5}, "second half of 5 steps has no 3 snapshots"),
    ):
        with pytest.raises(RecipeError, match=said):
            make_maker({"name": "dfad", "student": "mlp-8", **wrong})


@pytest.mark.parametrize("killed_at", [6, 7, 9])
def test_snapshots_survive_a_kill(
    net: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at, killed_at: int
) -> None:
    """Epochs of 5 steps, ten in all: snapshots after 7, 8, 9 and 10."""
    monkeypatch.setattr("stillhouse.synthesis.generator_training.PER_EPOCH", 5)
    asked = {"steps": 10, "snapshots": 4, "batch_size": 4, "count": 8}
    whole = images(net, tmp_path / "whole", "dfad", **asked)
    with monkeypatch.context() as patched:
        patched.setattr("stillhouse.synthesis.generator_training.CHECKPOINT_SECONDS", 0.0)
        kill_at(patched, Trainer, "_step", after=killed_at)
        with pytest.raises(KeyboardInterrupt):
            images(net, tmp_path / "killed", "dfad", **asked)
    steps, real = [], Trainer._step
    monkeypatch.setattr(Trainer, "_step", lambda *a: steps.append(a[2]) or real(*a))
    assert images(net, tmp_path / "killed", "dfad", **asked).equal(whole)
    assert steps[0] == killed_at, "it went on from a checkpoint"
    work = sorted(path.name for path in (tmp_path / "killed" / "work").glob("generator*"))
    assert work == [f"generator{n}.safetensors" for n in ("-1", "-2", "-3", "")]


def test_the_embedding_needs_a_head_and_statistics_need_batch_norm(tmp_path: Path) -> None:
    headless = nn.Sequential(nn.Conv2d(1, 4, 6), nn.Flatten())
    with pytest.raises(ModelError, match="no Linear inside"):
        images(headless, tmp_path / "a", "dafl")
    with pytest.raises(ModelError, match="no batch norm"):
        images(grey_net(), tmp_path / "b", "dafl", bn=1.0)
    with pytest.raises(RecipeError, match="'student' is needed"):
        make_maker("dafl")
    images(grey_net(norm=True), tmp_path / "c", "dafl", bn=1.0, steps=2)


def test_sides_that_four_does_not_divide_are_cut() -> None:
    made = Generator((3, 7, 9), (0.5,) * 3, (0.25,) * 3, latent=5, width=4)(torch.randn(2, 5))
    assert made.shape == (2, 3, 7, 9)
    assert float(made.detach().abs().max()) <= 2.0
