"""Without labels, with real packages: teachers by name and as networks, students of a package."""

from pathlib import Path

import pytest
import torch

import stillhouse as sh

pytestmark = pytest.mark.ecosystem

timm = pytest.importorskip("timm")
transformers = pytest.importorskip("transformers")
TASK = {"name": "embedding", "neighbours": 2}


def images() -> list[torch.Tensor]:
    of = torch.Generator().manual_seed(0)
    return [torch.rand(3, 16, 16, generator=of) for _ in range(60)]


def test_a_pretrained_classifier_of_any_classes_teaches_by_what_its_head_reads(
    tmp_path: Path,
) -> None:
    config = transformers.ViTConfig(
        image_size=16, patch_size=4, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, num_labels=5,
    )  # fmt: skip
    network = transformers.ViTForImageClassification(config).eval()
    network.save_pretrained(tmp_path / "hf")
    outcome = sh.distill(
        data=images(),
        teacher=f"hf:{tmp_path / 'hf'}:pretrained",
        student="convnet-4-8",
        task=TASK,
        method={"name": "embedding_kd", "kd_weight": 0},
        out=tmp_path / "run",
        epochs=1,
        seeds=[0],
        precision="fp32",
    )
    teacher = outcome.scores["models"][0]["runs"][0]
    assert (teacher["given"], teacher["test"]["last"]) == (True, 1.0)
    assert outcome.student(torch.zeros(2, 3, 16, 16)).shape == (2, 8)


def test_a_network_without_a_classifier_teaches_a_student_of_timm(tmp_path: Path) -> None:
    outcome = sh.distill(
        data=images(),
        teacher={"model": timm.create_model("resnet10t", num_classes=0)},
        student="timm:mobilenetv3_small_050",
        task=TASK,
        method="rkd",
        out=tmp_path / "run",
        epochs=1,
        seeds=[0],
        precision="fp32",
    )
    assert outcome.student(torch.zeros(2, 3, 16, 16)).shape == (2, 1024)
