"""Vision transformers with a convolutional teacher: tokens and maps, both heads, every method."""

from pathlib import Path
from typing import Any

import pytest
import torch
from ecosystem.architectures import CLASSES, LAYERS
from torch import nn

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.tables import ImageTable
from stillhouse.engine.facts import facts_of
from stillhouse.engine.wiring import wire
from stillhouse.methods import find_method
from stillhouse.models import build_model
from stillhouse.recipes import load_recipe
from stillhouse.runs.preflight import preflight
from stillhouse.runs.run import prepare

pytestmark = pytest.mark.ecosystem

ROOT = Path(__file__).resolve().parents[2]
STUDENTS = {  # where the last norm is, how many tokens are no patches, where the classifier is
    "timm vit_tiny_patch16_224": ("norm", 1, "head"),
    "timm deit_tiny_distilled_patch16_224": ("norm", 2, "head"),
    "transformers ViT": ("vit.layernorm", 1, "classifier"),
    "transformers DeiT": ("deit.layernorm", 2, "classifier"),
}


def batches() -> Batches:
    images = torch.randint(0, 256, (16, 64, 64, 3), dtype=torch.uint8)
    table = ImageTable(images, torch.arange(16) % CLASSES)
    return Batches(table, Augment((0.5,) * 3, (0.25,) * 3), batch_size=8)


@pytest.mark.parametrize("name", STUDENTS)
@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("fitnet", {"pairs": "levels"}),
        ("at", {"pairs": "auto"}),
        ("projector_logsum", {"distance": "log_correlation"}),
        ("vkd", {}),
        ("vkd", {"student_feature": "NORM:as_map"}),
        ("deit", {}),
    ],
)
def test_a_convolutional_teacher_teaches(name: str, method: str, settings: dict[str, Any]) -> None:
    norm, extra, head = STUDENTS[name]
    torch.manual_seed(0)
    student = LAYERS[name].make()
    chosen = {key: value.replace("NORM", norm) for key, value in settings.items()}
    stage = find_method(method).build(
        student, build_model("convnet-8-16-64", classes=CLASSES), **chosen
    )
    data = batches()
    whole = stage.completed(facts_of(data))
    seen = wire(whole, data.sample()).seen
    told = whole.role("student")
    width = student.get_submodule(head).in_features
    if method == "vkd":
        tokens = last_tokens(student, norm, data.sample()["batch.image"])
        wanted = tokens[:, extra:].mean(1) if chosen else tokens[:, 0]
        weight = whole.node("projected").module.projector.weight  # type: ignore[union-attr]
        torch.testing.assert_close(seen["projected"], wanted @ weight.T, rtol=1e-3, atol=1e-4)
    if method == "projector_logsum":
        assert told.head == head
        assert seen["student.embedding"].shape[1:] == (width,)


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("timm deit_tiny_distilled_patch16_224", ("head", "head_dist")),
        ("transformers DeiTWithTeacher", ("cls_classifier", "distillation_classifier")),
    ],
)
def test_of_two_heads_each_learns_its_own_and_none_is_added(
    name: str, heads: tuple[str, str]
) -> None:
    student = LAYERS[name].make()
    stage = find_method("deit").build(student, build_model("convnet-8-16-64", classes=CLASSES))
    assert [term.reads[0] for term in stage.terms()] == [f"student.{head}" for head in heads]
    assert all(node.name != "distilled" for node in stage.nodes)
    seen = wire(stage, batches().sample()).seen
    both = (seen[f"student.{heads[0]}"] + seen[f"student.{heads[1]}"]) / 2
    torch.testing.assert_close(both, seen["student.logits"], rtol=1e-4, atol=1e-5)


def last_tokens(student: nn.Module, norm: str, image: torch.Tensor) -> torch.Tensor:
    heard: list[torch.Tensor] = []
    hook = student.get_submodule(norm).register_forward_hook(lambda _m, _i, out: heard.append(out))
    with torch.no_grad():
        student.train()(image)
    hook.remove()
    return heard[-1]


def test_the_recipe_at_full_size_fits_together(tmp_path: Path) -> None:
    from PIL import Image

    for split, count in (("train", 4), ("test", 1)):
        for kind in ("one", "two", "three"):
            folder = tmp_path / "images" / split / kind
            folder.mkdir(parents=True)
            for number in range(count):
                Image.effect_noise((250, 230), 90).convert("RGB").save(folder / f"{number}.jpg")
    recipe = load_recipe(
        ROOT / "recipes/imagenet-deit-from-regnet.yaml",
        [f"data.source={tmp_path / 'images'}", "teacher.weights=null", "batch=4"],
    )
    shapes = dict(preflight(prepare(recipe, tmp_path / "run")).signals)
    assert shapes["student.norm:as_map"].endswith("192, 14, 14]")
    assert shapes["teacher.embedding"].endswith("3024]")
    assert shapes["projected"].endswith("3024]")
    assert shapes["target"] == shapes["projected"]
