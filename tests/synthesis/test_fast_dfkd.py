"""Fast-DFKD against a loop written by hand, and killed at each point."""

import copy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tiny import GREY, grey_net
from torch import Tensor, nn

from stillhouse.data.sources.synthesis import ROWS, present, read_file
from stillhouse.engine.checkpoint import Checkpoint
from stillhouse.engine.seeding import seeded
from stillhouse.errors import DataError, ModelError, RecipeError
from stillhouse.models import load_weights, weights_fingerprint
from stillhouse.synthesis import Maker, make_maker, store, synthesize
from stillhouse.synthesis.fast_dfkd import GeneratorAdaptation
from stillhouse.synthesis.generator import Generator
from stillhouse.synthesis.inputs import gaussian_noise
from stillhouse.synthesis.session import Session

SMALL = {"name": "fast_dfkd", "inner": 3, "warmup": 1, "student_steps": 4, "batch": 8,
         "latent": 6, "width": 4, "shift": False}  # fmt: skip
COUNT = 21


def method(**more) -> dict:
    return {**SMALL, "student": grey_net(norm=True, seed=7), **more}


def run(teacher: nn.Module, out: Path, asked: dict | Maker, count: int = COUNT, **more) -> Tensor:
    synthesize(teacher, method=asked, count=count, image_shape=GREY, out=out, device="cpu", **more)
    return torch.cat([read_file(path)["image"] for path in present(out, ROWS).values()])


def kl(student: Tensor, teacher: Tensor) -> Tensor:
    p, q = F.softmax(teacher, 1), F.softmax(student, 1)
    return (p * (p / q).log()).sum(1)


def by_hand(teacher: nn.Module, meta: str) -> tuple[Tensor, nn.Module]:
    """Batches of 8, 8 and 5; the student is trained, and asked, from the second on."""
    teacher.eval()
    student = grey_net(norm=True, seed=7)
    with seeded(0, "generator"):
        origin = Generator(GREY, (0.0,), (1.0,), latent=6, width=4)
    slow = torch.optim.Adam(origin.parameters(), lr=3 * 5e-3, betas=(0.5, 0.999))
    quick = torch.optim.Adam(student.parameters(), lr=1e-3)
    average, images = None, torch.empty(0, *GREY)
    for number, rows in enumerate(torch.arange(COUNT).split(8)):
        fast = copy.deepcopy(origin).train()
        z = gaussian_noise(0, rows, [6]).requires_grad_()
        adam = torch.optim.Adam(
            [{"params": fast.parameters()}, {"params": [z], "lr": 0.015}],
            lr=5e-3, betas=(0.5, 0.999),
        )  # fmt: skip
        student.eval()
        sums = [torch.zeros_like(p) for p in origin.parameters()]
        for _ in range(3):
            x = fast(z)
            features = teacher[0](x)
            now = (features.mean((0, 2, 3)), features.var((0, 2, 3), correction=0))
            both = now if average is None else [0.1 * n + 0.9 * a for n, a in zip(now, average)]  # noqa: B905
            wanted = (teacher[1].running_mean, teacher[1].running_var)
            loss = 10 * sum((b - w).norm() for b, w in zip(both, wanted, strict=True))
            t, s = teacher(x), student(x)
            loss = loss + 0.4 * F.cross_entropy(t, rows % 4)
            if number >= 1:
                loss = loss - 1.1 * (kl(s, t) * (s.argmax(1) == t.argmax(1))).mean()
            adam.zero_grad()
            loss.backward()
            sums = [a + p.grad for a, p in zip(sums, fast.parameters(), strict=True)]
            adam.step()
        average = [each.detach() for each in both]
        for p, f, total in zip(origin.parameters(), fast.parameters(), sums, strict=True):
            p.grad = total if meta == "fomaml" else (p - f).detach()
        slow.step()
        images = torch.cat([images, fast(z).detach()])
        if number >= 1:
            student.train()
            with seeded(0, "student", int(rows[0])):
                for _ in range(4):
                    x = images[torch.randint(len(images), (8,))]
                    loss = 400 * kl(student(x) / 20, teacher(x).detach() / 20).mean()
                    quick.zero_grad()
                    loss.backward()
                    quick.step()
    return images, student


@pytest.mark.parametrize("meta", ["fomaml", "reptile"])
def test_it_equals_a_loop_by_hand(norm_net: nn.Module, tmp_path: Path, meta: str) -> None:
    x = run(norm_net, tmp_path, method(meta=meta))
    wanted, student = by_hand(norm_net, meta)
    assert torch.allclose(x[:8], wanted[:8], atol=1e-5), "the first batch"
    assert torch.allclose(x[8:16], wanted[8:16], atol=1e-4), "after a step of the generator"
    assert torch.allclose(x, wanted, atol=1e-3), "after a step of the student"
    mine = grey_net(norm=True, seed=1)
    load_weights(mine, tmp_path / "work" / "student.safetensors")
    for name, value in student.named_parameters():
        if name != "0.bias":  # batch norm takes it out again: its gradient is rounding
            assert torch.allclose(mine.get_parameter(name), value, atol=1e-4), name


class Watcher:
    def begin(self, stage: str, steps: int, done: int) -> None: ...
    def step(self, images: int) -> None: ...
    def epoch(self, record, metric) -> None: ...


POINTS = {
    "in the first batch": (Session, "step", 2),
    "while images are made": (Session, "step", 4),
    "while the student learns": (Session, "step", 8),
    "before the student is written": ("stillhouse.synthesis.adaptation", "save_tensors", 1),
    "before the state is written": (Checkpoint, "save", 1),
    "before the first rows are stored": (store, "write", 0),
    "before the second rows are stored": (store, "write", 1),
    "once they are stored": (Watcher, "step", 1),
    "before the old state is deleted": (
        "stillhouse.synthesis.adaptation.AdaptationState",
        "delete_files",
        2,
    ),
    "at the very end": ("stillhouse.synthesis.adaptation.AdaptationState", "delete_files", 3),
}


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_synthesis_ends_with_the_same_bits(
    norm_net: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at, point: str
) -> None:
    asked = method(shift=True)
    whole = run(norm_net, tmp_path / "whole", asked)
    owner, name, after = POINTS[point]
    with monkeypatch.context() as patched:
        kill_at(patched, owner, name, after)
        with pytest.raises(KeyboardInterrupt):
            run(norm_net, tmp_path / "killed", asked, observer=Watcher())
    made, real = [], GeneratorAdaptation.opened
    stored = sum(rows for _, rows in present(tmp_path / "killed", ROWS))
    monkeypatch.setattr(GeneratorAdaptation, "opened", lambda *args: made.append(1) or real(*args))
    assert torch.equal(run(norm_net, tmp_path / "killed", asked), whole)
    assert bool(made) == (stored < COUNT), "what is stored is not made again"
    files = [(tmp_path / run / "work" / "student.safetensors") for run in ("whole", "killed")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert [path.name for path in (tmp_path / "whole" / "work").iterdir()] == [files[0].name]


def test_rows_that_were_taken_from_the_middle_are_not_made_again(
    norm_net: nn.Module, tmp_path: Path
) -> None:
    run(norm_net, tmp_path, method())
    present(tmp_path, ROWS)[8, 8].unlink()
    with pytest.raises(DataError, match="the images from 8 on begin from; delete"):
        run(norm_net, tmp_path, method())


def test_batch_norm_is_asked_for_before_anything_starts(net: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no batch norm with running statistics"):
        run(net, tmp_path / "a", method())
    assert not (tmp_path / "a").exists()
    assert len(run(net, tmp_path / "b", method(bn=0.0))) == COUNT


def test_settings_that_cannot_be(norm_net: nn.Module, tmp_path: Path) -> None:
    for wrong, said in (
        ({"bn": -1.0}, "bn is -1.0; it must be at least 0"),
        ({"bn_momentum": 1.0}, "bn_momentum is 1.0; it must be at most 0.999"),
        ({"inner": 0}, "inner is 0; it must be at least 1"),
        ({"meta": "fomml"}, "meta is 'fomml'; nearest: fomaml"),
        ({"bn": 0.0, "oh": 0.0, "adv": 0.0}, "nothing judges an image"),
    ):
        with pytest.raises(RecipeError, match=said):
            make_maker(method(**wrong))
    with pytest.raises(RecipeError, match="setting 'student' is needed"):
        make_maker("fast_dfkd")
    with pytest.raises(RecipeError, match=r"21 images are 3 batches of 8.* warmup of 3"):
        run(norm_net, tmp_path, method(warmup=3))


def test_the_student_draws_images_to_where_it_is_wrong(net: nn.Module, tmp_path: Path) -> None:
    """One batch, made against a student that was not trained yet."""
    own = {"bn": 0.0, "oh": 0.1, "inner": 30, "warmup": 0, "student_steps": 1, "batch": 32}
    student = grey_net(seed=9).eval()
    gaps = []
    for adv in (0.0, 20.0):
        asked = method(**own, adv=adv, student=student)
        x = run(net, tmp_path / str(adv), asked, 32)
        gaps.append(kl(student(x), net.eval()(x)).mean().item())
    assert gaps[1] > 1.2 * gaps[0]


def test_the_student_learns_and_the_callers_does_not(net: nn.Module, tmp_path: Path) -> None:
    asked = method(bn=0.0, student_steps=150, student_lr=0.02, student=grey_net(seed=9).train())
    x = run(net, tmp_path, asked)
    fresh, trained = grey_net(seed=9), grey_net()
    load_weights(trained, tmp_path / "work" / "student.safetensors")
    logits = net.eval()(x)
    assert kl(trained(x), logits).mean() < kl(fresh(x), logits).mean() / 2
    assert weights_fingerprint(asked["student"]) == weights_fingerprint(fresh)
    assert asked["student"].training
    hooks = [part for part in (*net.modules(), *asked["student"].modules()) if part._forward_hooks]
    assert not hooks


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_sizes_of_the_real_data(shape: tuple[int, int, int], tmp_path: Path) -> None:
    torch.manual_seed(0)
    teacher = nn.Sequential(nn.Conv2d(shape[0], 4, 5, stride=4), nn.BatchNorm2d(4), nn.Flatten(),
                            nn.LazyLinear(10))  # fmt: skip
    teacher(torch.randn(4, *shape))
    student = "lenet5_half" if shape[0] == 1 else "mlp-8"
    asked = {**SMALL, "student": student, "shift": True, "inner": 1, "student_steps": 1}
    made = synthesize(teacher, method=asked, count=10, image_shape=shape, out=tmp_path,
                      device="cpu", mean=(0.5,), std=(0.25,))  # fmt: skip
    assert made.balance["asked"] == [1] * 10
    images = [read_file(path)["image"] for path in present(tmp_path, ROWS).values()]
    assert torch.cat(images).shape == (10, *shape)
