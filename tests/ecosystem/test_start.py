"""Networks of timm that learn on from weights of elsewhere."""

from pathlib import Path

import pytest
import torch

from stillhouse.errors import ModelError
from stillhouse.recipes import make_recipe
from stillhouse.runs.job.job import Job
from stillhouse.runs.preflight import networks_told, preflight
from stillhouse.runs.run import prepare

pytestmark = pytest.mark.ecosystem

TINY = {
    "data": {"source": "digits", "limit": 32},
    "student": "convnet-4-4",
    "epochs": 1,
    "seeds": 1,
    "batch": 16,
    "precision": "fp32",
}


def job_of(folder: Path, **section: object) -> Job:
    return prepare(make_recipe({**TINY, "teacher": section}), folder / "run")


def test_a_state_dict_of_timm_is_the_start_of_a_teacher(tmp_path: Path) -> None:
    """Two classifiers of a distilled transformer are new, its body is the file's."""
    import timm

    name = "deit_tiny_distilled_patch16_224"
    arguments = {"img_size": 16, "patch_size": 8, "depth": 2}
    large = timm.create_model(name, num_classes=20, in_chans=1, **arguments)
    torch.save({"state_dict": large.state_dict()}, tmp_path / "deit.pth")
    size = {"input": {"size": 16}, "arguments": arguments}
    job = job_of(tmp_path, model=f"timm:{name}", start=tmp_path / "deit.pth", lr_scale=0.1, **size)
    made = job.teacher.make(0)
    heads = [f"{head}.{kind}" for head in ("head", "head_dist") for kind in ("weight", "bias")]
    for path, value in made.named_parameters():
        same = path not in heads
        assert (value.shape == large.state_dict()[path].shape) == same
        assert not same or torch.equal(value, large.state_dict()[path]), path
    assert [p.shape[0] for p in (made.head.weight, made.head_dist.weight)] == [10, 10]
    scales = job.teacher.stage(made).role("student").lr_scales
    assert {path for path, p in made.named_parameters() if p not in scales} == set(heads)
    assert "learns at 0.1 of the rate" in networks_told(job)[0]
    assert preflight(job).teacher is None, "it is trained here first"


def test_weights_of_the_package_are_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(
        "timm.models._builder.load_pretrained", lambda _, **settings: asked.append(settings)
    )
    job = job_of(tmp_path, model="timm:resnet10t", start="pretrained", lr_scale=0.5)
    assert not job.teacher.given
    (line,) = networks_told(job)
    assert asked
    assert line == (
        "teacher: starts from the weights of timm:resnet10t:pretrained with a new classifier (fc), "
        "which has to be trained; what came from there learns at 0.5 of the rate"
    )


def test_weights_that_cannot_be_had_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: object, **__: object) -> None:
        raise OSError("no route to the hub")

    monkeypatch.setattr("timm.models._builder.load_pretrained", absent)
    with pytest.raises(ModelError, match=r"cannot be had \(OSError: no route .*start: FILE"):
        job_of(tmp_path, model="timm:resnet10t", start="pretrained")
    with pytest.raises(ModelError, match=r"cannot be had \(RuntimeError: Invalid pretrained tag"):
        job_of(tmp_path, model="timm:resnet10t.nope", start="pretrained")


@pytest.mark.parametrize("classes", [7, 10])
def test_a_folder_of_hugging_face_is_a_start(tmp_path: Path, classes: int) -> None:
    """By its own weights or as the file: the same body, and a new classifier where it must be."""
    import transformers

    config = transformers.ResNetConfig(
        num_channels=1, embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], num_labels=classes
    )
    held = transformers.ResNetForImageClassification(config)
    held.save_pretrained(tmp_path / "net")
    jobs = [
        job_of(tmp_path, model=f"hf:{tmp_path / 'net'}", start=start, lr_scale=0.1)
        for start in ("pretrained", tmp_path / "net")
    ]
    for job in jobs:
        made = job.teacher.make(0)
        scales = job.teacher.stage(made).role("student").lr_scales
        for path, value in made.named_parameters():
            new = classes != 10 and path.startswith("classifier.1.")
            assert (value in scales) != new, path
            assert new or torch.equal(value, held.state_dict()[path]), path
        assert ("new classifier" in networks_told(job)[0]) == (classes != 10)
