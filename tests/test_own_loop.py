"""docs/own-loop.md does what it says, with the real packages; each example is at most 25 lines."""

import re
from pathlib import Path

import pytest
import torch
from tiny import tiny_net
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

PAGE = Path(__file__).resolve().parents[1] / "docs" / "own-loop.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the examples take for given: two networks, a dataset, a loader, a number of epochs."""
    monkeypatch.chdir(tmp_path)
    made = torch.Generator().manual_seed(0)
    labels = torch.arange(48) % 3
    images = torch.randn(48, 3, 8, 8, generator=made) + labels[:, None, None, None]
    dataset = TensorDataset(images, labels)
    teacher = tiny_net(6, 2)
    optimizer = torch.optim.Adam(teacher.parameters(), 0.05)
    for _ in range(60):
        nn.functional.cross_entropy(teacher(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    torch.manual_seed(0)
    return {
        "student": tiny_net(4, 1),
        "teacher": teacher,
        "dataset": dataset,
        "loader": DataLoader(dataset, batch_size=8, shuffle=True),
        "epochs": 4,
    }


@pytest.mark.parametrize("at", range(3), ids=["torch", "accelerate", "transformers"])
def test_its_examples_train_the_student(at: int, known: dict[str, object]) -> None:
    assert len([line for line in BLOCKS[at].splitlines() if line.strip()]) <= 25
    student, teacher = known["student"], known["teacher"]
    assert isinstance(student, nn.Module)
    assert isinstance(teacher, nn.Module)
    images, labels = known["dataset"].tensors
    frozen = {name: value.clone() for name, value in teacher.state_dict().items()}

    def loss() -> float:
        with torch.no_grad():
            return nn.functional.cross_entropy(student.eval()(images), labels).item()

    before = loss()
    student.train()
    exec(compile(BLOCKS[at], f"own-loop.md, block {at}", "exec"), known)
    assert known["objective"].progress == pytest.approx(1.0)
    assert loss() < before - 0.02
    assert all(torch.equal(value, teacher.state_dict()[name]) for name, value in frozen.items())
    assert all(not part._forward_hooks for part in student.modules())


def test_there_is_an_example_for_each_and_one_that_is_only_shown() -> None:
    assert len(BLOCKS) == 3
    (shown,) = re.findall(r"```py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    compile(shown, "own-loop.md", "exec")
    assert len(shown.splitlines()) <= 25
