"""What check and run say of a given teacher: its order, its image, its outputs, its worth."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.bridges import InputAdapter
from stillhouse.errors import ModelError, RecipeError
from stillhouse.recipes import make_recipe
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.watcher import SilentWatcher
from stillhouse.runs.preflight import preflight
from stillhouse.runs.run import Objects, prepare
from stillhouse.runs.training import teacher_check, teacher_forms
from stillhouse.runs.training.teacher_findings import unsteady_caution
from stillhouse.runs.training.teacher_forms import (
    Form,
    best_order,
    permuted,
    probabilities,
)
from stillhouse.runs.training.teachers import Teachers

COLOURS = torch.tensor([[0.2, 0.4, 0.4], [0.4, 0.4, 0.4], [0.5, 0.4, 0.4], [0.6, 0.4, 0.4]])
NAMES = ("fire", "leaf", "sea", "snow")
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def images(seed: int, rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Images whose class is their colour."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(rows) % 4
    noise = 0.05 * torch.randn(rows, 3, 8, 8, generator=generator)
    pixels = (COLOURS[label][:, :, None, None] + noise).clamp(0, 1)
    return (pixels * 255).round().byte().permute(0, 2, 3, 1).numpy(), label.numpy()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An .npz of these images."""
    file = tmp_path_factory.mktemp("colours") / "colours.npz"
    x, y = images(0)
    np.savez(file, images=x, labels=np.array(NAMES)[y])
    return file


@pytest.fixture(autouse=True)
def few_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones, which cost nothing."""
    monkeypatch.setattr(teacher_forms, "SIZES", (32, 64))


class Nearest(nn.Module):
    """The class whose colour is nearest, as a linear classifier of the mean colour.

    It wants images in a form of its own, with an exact side where that is given.
    """

    def __init__(
        self,
        mean: Sequence[float] = (0.0,) * 3,
        std: Sequence[float] = (1.0,) * 3,
        *,
        order: Sequence[int] = (0, 1, 2, 3),
        bgr: bool = False,
        side: int | None = None,
        end: Callable[[Tensor], Tensor] = lambda z: z,
    ) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 4)
        self.bgr, self.side, self.end = bgr, side, end
        m, s = torch.tensor(mean), torch.tensor(std)
        with torch.no_grad():  # -|c - mean - x std|^2 / 2 without what is the same for all
            weight = COLOURS * s * 200
            bias = (COLOURS @ m - COLOURS.square().sum(1) / 2) * 200
            self.fc.weight.copy_(weight[list(order)])
            self.fc.bias.copy_(bias[list(order)])

    def forward(self, image: Tensor) -> Tensor:
        colour = image.flip(1) if self.bgr else image
        z = self.fc(colour.mean((2, 3)))
        if self.side and image.shape[-1] != self.side:  # sees nothing of another size
            z = z.roll(1, 1) * 0 + self.fc.bias.roll(2) + 0 * z
        return self.end(z)


class Voice(SilentWatcher):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)


def job_of(data: Path, teacher: object, out: Path, **section: object) -> tuple[Job, Voice]:
    voice = Voice()
    recipe = make_recipe(
        {
            "data": {"source": str(data), "augment": "none"},
            "teacher": {"model": "Nearest", **section},
            "student": "convnet-4-4",
            "epochs": 1,
            "seeds": 1,
        }
    )
    return prepare(recipe, out, objects=Objects(teacher=teacher), watcher=voice), voice


def input_of_data(data: Path) -> tuple[Sequence[float], Sequence[float]]:
    with np.load(data) as file:
        pixels = file["images"].reshape(-1, 3) / 255
    return pixels.mean(0).tolist(), pixels.std(0).tolist()


CASES = {
    "right": ({}, (), {}),
    "ImageNet's": (
        dict(zip(("mean", "std"), IMAGENET, strict=True)),
        (r"with ImageNet's normalisation the teacher would give (9\d|100)\.\d+%",
         r"mean: \[0\.485, 0\.456, 0\.406\], std: \[0\.229, 0\.224, 0\.225\]"),
        {"input": {"mean": IMAGENET[0], "std": IMAGENET[1]}},
    ),
    "0..255": (
        {"mean": (0.0,) * 3, "std": (1 / 255,) * 3},
        (r"with pixels in 0\.\.255", r"mean: \[0, 0, 0\], std: \[0\.0039216"),
        {"input": {"mean": (0.0,) * 3, "std": (1 / 255,) * 3}},
    ),
    "blue first": (
        {"bgr": True}, (r"with blue before red the teacher would give", r"\{order: bgr\}"),
        {"input": {"order": "bgr"}},
    ),
    "a size": (
        {"side": 32}, (r"with images of 32 x 32 the teacher would give", r"\{size: 32\}"),
        {"input": {"size": 32}},
    ),
    "an order": (
        {"order": (2, 0, 3, 1)},
        (r"a permutation of the teacher's outputs would give (9\d|100)\.\d+%",
         r"teacher: \{classes: \[sea, fire, snow, leaf\]\}"),
        {"classes": ["sea", "fire", "snow", "leaf"]},
    ),
    "both": (
        {"order": (2, 0, 3, 1), "side": 64},
        (r"a permutation .* and images of 64 x 64 \(teacher: \{input: \{size: 64\}\}\) would",),
        {"classes": ["sea", "fire", "snow", "leaf"], "input": {"size": 64}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_check_and_run_say_what_is_wrong_and_what_to_write(case, data, tmp_path) -> None:
    settings, said, remedy = CASES[case]
    if "mean" not in settings:
        mean, std = input_of_data(data)
        settings = {"mean": mean, "std": std, **settings}
    job, voice = job_of(data, Nearest(**settings), tmp_path / "run")
    found = preflight(job).teacher
    told = " ".join(found.cautions)
    for words in said:
        assert re.search(words, told), told
    assert bool(found.cautions) is bool(said)
    voice.said, voice.warned = [], []
    Teachers(job).trained(0)
    assert voice.warned == list(found.cautions), "the same words"
    assert voice.said == [found.line]
    mended, _ = job_of(data, Nearest(**settings), tmp_path / "run", **remedy)
    better = preflight(mended).teacher
    assert better.cautions == ()
    assert float(better.line.split()[3].rstrip("%")) >= 95


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda z: z.softmax(1), r"the {}'s outputs are probabilities \(each row sums to 1\)"),
        (lambda z: z.log_softmax(1), r"the {}'s outputs are logarithms of probabilities"),
    ],
)
def test_networks_that_end_in_a_softmax_are_told(end, said, data, tmp_path) -> None:
    mean, std = input_of_data(data)
    job, voice = job_of(data, Nearest(mean, std, end=end), tmp_path)
    (caution,) = preflight(job).teacher.cautions
    assert re.match(said.format("teacher"), caution)
    assert voice.warned == []
    voice = Voice()
    prepare(
        make_recipe(
            {"data": {"source": str(data)}, "student": "Nearest", "method": "label_smoothing"}
        ),
        tmp_path,
        objects=Objects(student=Nearest(mean, std, end=end)),
        watcher=voice,
    )
    assert re.match(said.format("student"), voice.warned[0])


def test_a_teacher_that_is_trained_here_is_told_at_check_and_at_run(
    data, tmp_path, monkeypatch
) -> None:
    """By its own stage: FitNet never reads its logits."""
    (tmp_path / "ends_in_softmax.py").write_text(
        "from torch import nn\n"
        "def net(classes=4):\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(),\n"
        "                         nn.AdaptiveAvgPool2d(1), nn.Flatten(),\n"
        "                         nn.Linear(4, classes), nn.Softmax(1))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    voice = Voice()
    recipe = make_recipe(
        {
            "data": {"source": str(data), "augment": "none"},
            "teacher": {"model": "python:ends_in_softmax:net", "epochs": 1},
            "student": "convnet-4-4",
            "method": {"name": "fitnet", "pairs": [["layer1", "1"]]},
            "epochs": 1,
            "seeds": 1,
        }
    )
    job = prepare(recipe, tmp_path / "run", allow_imports=True, watcher=voice)
    (told,) = voice.warned
    assert told.startswith("the teacher's outputs are probabilities (each row sums to 1)")
    assert job.warned == (told,)
    found = Teachers(job).trained(0).check
    assert told in found.cautions
    assert told in found.kept["check"]


class Slow(Nearest):
    """Takes a while for an image, by a clock of the test's own."""

    def __init__(self, seconds: float, **more) -> None:
        super().__init__(**more)
        self.seconds, self.now = seconds, 0.0

    def forward(self, image: Tensor) -> Tensor:
        self.now += self.seconds * len(image)
        return super().forward(image)


@pytest.mark.parametrize(
    ("seconds", "rows", "note"),
    [
        (0.001, None, None),  # 1,024 rows take a second: all 360 that there are
        (0.05, 200, r"\d+ other forms of the teacher's image were not tried: it takes 0\.05 s"),
        (1.0, 0, r"the teacher takes 1\.0 s for a row here, so it was not scored beforehand"),
    ],
)
def test_a_slow_teacher_is_looked_at_for_a_while(
    seconds, rows, note, data, tmp_path, monkeypatch
) -> None:
    slow = Slow(seconds, order=(2, 0, 3, 1))
    job, _ = job_of(data, slow, tmp_path)
    teacher = job.teacher.make(0)
    clock = next(module for module in teacher.modules() if isinstance(module, Slow))
    monkeypatch.setattr(teacher_check.time, "perf_counter", lambda: clock.now)
    whole = replace(job, data=replace(job.data, splits=replace(
        job.data.splits, validation=job.data.splits.train)))  # fmt: skip
    found = teacher_check.check_given(whole, job.teacher, teacher)
    assert (f" on {rows} of " in found.line) is bool(rows), found.line
    assert bool(found.line) is (rows != 0)
    assert bool(found.notes) is bool(note)
    if note:
        assert re.match(note, found.notes[0])
    assert clock.now <= 4 * teacher_check.SECONDS + 16 * seconds


def test_images_that_take_much_room_are_not_all_held(data, tmp_path, monkeypatch) -> None:
    job, _ = job_of(data, Nearest(order=(2, 0, 3, 1)), tmp_path)
    held = []
    whole = teacher_check._Examination._held
    monkeypatch.setattr(teacher_check, "BYTES", 40 * 4 * 3 * 8 * 8)
    monkeypatch.setattr(
        teacher_check._Examination, "_held", lambda self, n: held.append(n) or whole(self, n)
    )
    preflight(job)
    assert max(held) == 40


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (["sea", "fire", "snow"], "class 'leaf' is not among them"),
        (["sea", "fire", "snow", "laef"], r"class 'leaf' is not among them; nearest: laef"),
        (["sea", "sea", "snow", "leaf", "fire"], "'sea' is named twice"),
        ({"sea": 0, "fire": 1, "snow": 2, "sand": 3}, "'sand' is no class of the data"),
        ({"sea": 0, "fire": 1, "snow": 1, "leaf": 3}, "two classes have the same position"),
    ],
)
def test_names_that_are_not_the_classes_are_told(classes, said, data, tmp_path) -> None:
    with pytest.raises(RecipeError, match=f"(?s)teacher.classes.*{said}"):
        job_of(data, Nearest(), tmp_path, classes=classes)


def test_of_more_outputs_those_of_the_data_are_taken(data, tmp_path) -> None:
    mean, std = input_of_data(data)
    net, wide = Nearest(mean, std), Nearest(mean, std)
    wide.fc = nn.Linear(3, 6)
    places = {"fire": 4, "leaf": 1, "sea": 5, "snow": 0}
    with torch.no_grad():
        for at, name in enumerate(NAMES):
            wide.fc.weight[places[name]] = net.fc.weight[at]
            wide.fc.bias[places[name]] = net.fc.bias[at]
    job, _ = job_of(data, wide, tmp_path, classes=places)
    image = torch.rand(5, 3, 8, 8)
    assert torch.allclose(job.teacher.make(0)(image), net(image), atol=1e-5)
    assert wide.fc.weight.shape == (6, 3), "the user's own stays as it was"


def test_an_order_that_cannot_be_had_is_refused(data, tmp_path) -> None:
    class Reversed(Nearest):
        def forward(self, image: Tensor) -> Tensor:
            return super().forward(image) + torch.arange(4)

    with pytest.raises(ModelError, match="its logits do not follow the order"):
        job_of(data, Reversed(), tmp_path, classes=["sea", "fire", "snow", "leaf"])
    with pytest.raises(RecipeError, match=r"it is trained here.*leave classes out"):
        prepare(
            make_recipe(
                {
                    "data": {"source": str(data)},
                    "teacher": {"model": "convnet-4-4", "classes": list(NAMES)},
                    "student": "convnet-4-4",
                }
            ),
            tmp_path,
        )


def test_the_best_order_is_that_of_all_permutations() -> None:
    torch.manual_seed(0)
    label = torch.randint(0, 4, (60,))
    logits = torch.randn(60, 4) + 2 * nn.functional.one_hot((label + 1) % 4, 4)

    def right(order: Sequence[int]) -> int:
        return int((logits[:, list(order)].argmax(1) == label).sum())

    best = max(permutations(range(4)), key=right)
    assert best_order(logits, label, 4) == list(best) == [1, 2, 3, 0]
    guess = torch.randn(60, 4)
    assert permuted(guess, label, 4) < 0.5, "what is chosen on some rows is told of others"


def test_probabilities_are_known_from_logits() -> None:
    z = torch.randn(8, 3)
    assert probabilities(z.softmax(1)) == "probabilities"
    assert probabilities(z.log_softmax(1)) == "logarithms of probabilities"
    assert probabilities(z) is None
    assert probabilities(z.abs()) is None
    ruled_out = z.clone()
    ruled_out[:, 1] = -math.inf
    assert probabilities(ruled_out.log_softmax(1)) == "logarithms of probabilities"
    many = torch.linspace(-9, 9, 100).view(10, 10)
    assert probabilities(many.sigmoid()) == "shares"
    assert probabilities(many) is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda z: z, None),
        (lambda z: z.index_fill(1, torch.tensor([1]), -math.inf), None),
        (lambda z: F.dropout(z, 0.5), "the teacher gives other outputs when it sees the same"),
        (lambda z: z - z.mean(0), "the teacher's outputs for an image depend on the other images"),
    ],
)
def test_a_teacher_whose_answer_is_not_one_is_told(answer, said) -> None:
    z = torch.arange(24.0).view(8, 3) + 1
    caution = unsteady_caution(answer(z), answer(z), answer(z[:2]))
    assert (caution is None) is (said is None)
    assert caution is None or caution.startswith(said)


def test_a_batch_norm_without_running_statistics_is_told(data, tmp_path) -> None:
    norm = nn.BatchNorm1d(3, track_running_stats=False)
    end = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), norm, nn.Linear(3, len(NAMES)))
    job, _ = job_of(data, end, tmp_path)
    told = " ".join(preflight(job).teacher.cautions)
    assert "depend on the other images of its batch" in told


def test_a_form_in_a_recipe_is_what_was_tried() -> None:
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    form = Form("x", mean, std, bgr=True)
    assert "mean: [0.3, 0.2, 0.1], std: [0.7, 0.6, 0.5]" in form.section
    adapter = InputAdapter((0.0,) * 3, (1.0,) * 3, to_mean=mean[::-1], to_std=std[::-1], bgr=True)
    image = torch.rand(1, 3, 1, 1)
    wanted = [(image[0, c, 0, 0].item() - mean[c]) / std[c] for c in (2, 1, 0)]
    assert adapter(image).flatten().tolist() == pytest.approx(wanted, rel=1e-5)
