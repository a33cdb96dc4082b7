"""``stillhouse derive``: the table, the files, and what is refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from stillhouse.models import build_model
from stillhouse.records.tensors import save_tensors
from stillhouse.students import low_rank, with_codebooks

pytestmark = pytest.mark.programs

LOW = ("derive", "convnet-8-16", "--by", "low_rank", "--ratio", "0.5", "--image", "1,8,8")


def test_the_student_of_trained_weights_and_what_both_cost(command, tmp_path: Path) -> None:
    teacher = build_model("convnet-8-16", classes=10, channels=1)
    save_tensors(tmp_path / "t.safetensors", teacher.state_dict(), {})
    said = command(*LOW, "--weights", "t.safetensors", "-o", "made")
    assert said.code == 0, said.err
    for part in ("convnet-8-16 low_rank 0.5", "M mult-adds", "ms at batch 64", "2 layers rebuilt"):
        assert part in said.out
    assert "random numbers" not in said.out
    student = low_rank(teacher.eval(), ratio=0.5).module
    found = load_file(tmp_path / "made/student.safetensors")
    assert all(torch.equal(found[key], value) for key, value in student.state_dict().items())
    image = torch.randn(5, 1, 8, 8)
    program = torch.export.load(tmp_path / "made/student.pt2").module()
    torch.testing.assert_close(program(image), student(image), rtol=1e-4, atol=1e-5)
    costs = json.loads((tmp_path / "made/costs.json").read_text())
    large, small = costs["networks"]
    assert small["parameters"] == sum(p.numel() for p in student.parameters())
    assert small["macs"] < large["macs"]
    assert small["file_bytes"] <= (tmp_path / "made/student.safetensors").stat().st_size
    assert [change["path"] for change in costs["changes"]] == ["layer1.conv", "layer2.conv"]


def test_nothing_is_overwritten(command, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made/student.pt2").write_bytes(b"mine")
    said = command(*LOW, "-o", "made")
    assert said.code == 2
    assert "student.pt2 already" in said.err
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["student.pt2"]


def test_a_file_is_no_directory(command, tmp_path: Path) -> None:
    (tmp_path / "made").write_text("mine")
    said = command(*LOW, "-o", "made")
    assert said.code == 2
    assert "made is a file; give a directory (-o)" in said.err


def test_shared_weights_are_a_small_file_and_a_program_without_codebooks(
    command, tmp_path: Path
) -> None:
    asked = ("derive", "convnet-8-16", "--by", "shared", "--bits", "2", "--image", "1,8,8")
    said = command(*asked, "-o", "made")
    assert said.code == 0, said.err
    assert "convnet-8-16 shared bits 2" in said.out
    found = load_file(tmp_path / "made/student.safetensors")
    student = with_codebooks(build_model("convnet-8-16", classes=10, channels=1), found).eval()
    student.load_state_dict(found)
    program = torch.export.load(tmp_path / "made/student.pt2")
    assert "layer2.conv.codebook" in found
    assert not any("codebook" in name for name in program.state_dict)
    image = torch.randn(5, 1, 8, 8)
    torch.testing.assert_close(program.module()(image), student(image), rtol=1e-4, atol=1e-5)


def test_a_vision_transformer_from_scratch(command, tmp_path: Path) -> None:
    said = command(
        "derive", "vit-32-2-4", "--by", "low_rank", "--ratio", "0.5", "--start", "scratch",
        "--image", "3,16,16",
    )  # fmt: skip
    assert said.code == 0, said.err


def test_a_thinner_one_by_name_without_files(command, tmp_path: Path) -> None:
    said = command(
        "derive", "resnet20w4", "--by", "thinner", "--ratio", "0.5", "--image", "3,16,16"
    )
    assert said.code == 0, said.err
    assert "resnet14w3" in said.out
    assert "random numbers" in said.out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--by", "lowrank", "--ratio", "0.5"), "nearest: low_rank"),
        (("--by", "low_rank"), "say one: rank"),
        (("--by", "depthwise", "--ratio", "0.5"), "no key 'student.ratio'"),
        (("--by", "low_rank", "--rank", "99"), "makes nothing smaller of convnet-8-16"),
        (("--by", "depthwise", "--image", "8,8"), "channels,height,width"),
        (("--by", "depthwise", "--keep", "conv9"), "no module 'conv9'"),
    ],
    ids=str,
)
def test_what_cannot_be_asked(command, arguments: tuple[str, ...], words: str) -> None:
    said = command("derive", "convnet-8-16", *arguments)
    assert said.code == 2
    assert words in said.err
