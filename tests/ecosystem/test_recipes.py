"""Recipes with networks of real packages, through the commands."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ecosystem.architectures import LAYERS

pytestmark = pytest.mark.ecosystem

COLOUR = {"size": 32, "channels": 3}
SMALL = {"img_size": 32, "drop_path_rate": 0.1}
VIT = {"model": "timm:vit_tiny_patch16_224", "input": COLOUR}
DEIT = {"model": "timm:deit_tiny_distilled_patch16_224", "arguments": SMALL, "input": COLOUR}
LEVIT = {"model": "timm:levit_128s", "input": {"size": 224, "channels": 3}}


@pytest.fixture
def check(command, tmp_path: Path):
    """`stillhouse check` of a recipe on digits, and what it said in one line."""

    def run(**sections: Any) -> tuple[int, str]:
        recipe = {"student": "convnet-4-8", "precision": "fp32",
                  "epochs": 1, "data": "digits", "batch": 16, **sections}  # fmt: skip
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        said = command("check", "recipe.yaml")
        return said.code, " ".join((said.out + said.err).split())

    return run


def test_arguments_reach_the_function_of_timm(check) -> None:
    code, said = check(teacher={**VIT, "arguments": SMALL}, method="kd")
    assert code == 0, said
    code, said = check(teacher={**VIT, "arguments": {"img_sise": 32}}, method="kd")
    assert code == 2
    assert "cannot be built with arguments {'img_sise': 32}" in said
    code, said = check(teacher=VIT, method="kd")  # images of 224
    assert code == 2
    assert "224" in said


@pytest.mark.parametrize(
    "teacher",
    [DEIT, {**DEIT, "head_path": "head"}, LEVIT, {**LEVIT, "head_path": "head"}],
    ids=["deit", "deit, named", "levit", "levit, named"],
)
def test_heads_of_distilled_networks_and_of_levit(check, teacher: dict[str, Any]) -> None:
    code, said = check(teacher=teacher, method="rkd")
    assert code == 0, said
    assert "teacher.embedding" in said


def test_a_head_that_is_not_there_is_refused(check) -> None:
    code, said = check(teacher={**DEIT, "head_path": "hed"}, method="rkd")
    assert code == 2
    assert "teacher" in said
    assert "head" in said


def test_a_name_without_its_package_is_given_one(check) -> None:
    code, said = check(student="convnext_atto", method="plain")
    assert code == 2
    assert "did you mean timm:convnext_atto" in said


def test_rounding_keeps_what_the_message_names(check) -> None:
    student = {"quantise": "int8", "input": {"size": 64, "channels": 3}}
    code, said = check(
        student={**student, "model": "timm:mobilenetv4_conv_small_035"}, method="plain"
    )
    assert code == 0, said
    student["model"] = "timm:tf_efficientnet_b0"
    code, said = check(student=student, method="plain")
    assert code == 2
    named = re.search(r"keep: \[(.*?)\]", said)[1].split(", ")
    assert "conv_stem" in named
    code, said = check(student={**student, "keep": named}, method="plain")
    assert code == 0, said


def test_a_folder_of_transformers_teaches_and_learns(command, tmp_path: Path) -> None:
    LAYERS["transformers ResNet"].make().save_pretrained(tmp_path / "resnet")
    recipe = {
        "data": "digits",
        "teacher": {"model": "hf:resnet:pretrained", "input": COLOUR},
        "student": {"model": "hf:resnet", "input": COLOUR, "arguments": {"hidden_act": "gelu"}},
        "method": {"name": "at", "pairs": "levels"},
        "epochs": 1,
        "precision": "fp32",
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    said = command("run", "recipe.yaml", "-o", "runs/one")
    assert said.code == 0, said.err
    assert (tmp_path / "runs" / "one" / "student.safetensors").is_file()
    recipe["student"] = "hf:no/such"
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    said = command("check", "recipe.yaml")
    assert said.code == 2
    assert "there is no folder 'no/such'" in said.err
