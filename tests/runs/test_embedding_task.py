"""A run without labels, from a folder of images to its table; and what is refused before it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from stop_amid import StopAmid
from torch import Tensor, nn

import stillhouse as sh
from stillhouse.errors import StillhouseError
from stillhouse.models import build_model
from stillhouse.models.outputs import named_outputs
from stillhouse.records.answers import read_answers
from stillhouse.records.metric import NOTHING
from stillhouse.records.tensors import load_state
from stillhouse.report.probed import probe_rows
from stillhouse.representations.neighbours import neighbour_overlap, neighbour_votes
from stillhouse.runs.run import Outcome

pytestmark = pytest.mark.programs

KD = {"name": "embedding_kd", "kd_weight": 0}
SMALL = {
    "task": {"name": "embedding", "neighbours": 2},
    "epochs": 2,
    "batch": 8,
    "precision": "fp32",
    "optimizer": {"name": "adamw", "lr": 3e-3},
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pile of images, the same in class folders, and a teacher of four other classes."""
    root = tmp_path_factory.mktemp("unlabelled")
    of = np.random.default_rng(0)
    for number in range(60):
        kind = number % 2
        pixels = of.integers(0, 90, (8, 8, 3)) + 150 * kind
        image = Image.fromarray(pixels.astype(np.uint8))
        for path in (
            root / "pile" / f"{number}.png",
            root / "kinds" / "ab"[kind] / f"{number}.png",
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        teacher = build_model("convnet-6-12", classes=4)
    save_file(teacher.state_dict(), root / "teacher.safetensors")
    return root


def distilled(places: Path, name: str, **changed: object) -> Outcome:
    settings = {
        "data": str(places / "pile"),
        "student": "convnet-4-8",
        "teacher": {"model": "convnet-6-12", "weights": str(places / "teacher.safetensors")},
        "method": KD,
        "seeds": 2,
        **SMALL,
        **changed,
    }
    return sh.distill(out=places / name, shared=places / f"{name}-shared", **settings)


def embedding(network: nn.Module, images: Tensor) -> Tensor:
    network.eval()
    with torch.no_grad():
        given: Tensor = named_outputs(network(images))["logits"]
    return given


def _normalised(run: Path, image: Image.Image) -> torch.Tensor:
    wanted = sh.load(run).preprocess
    pixels = torch.tensor(np.asarray(image)).permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(each).view(1, -1, 1, 1) for each in (wanted.mean, wanted.std))
    return (pixels - mean) / std


def test_a_run_without_labels_is_judged_by_the_teacher_and_probed_with_labels(
    places: Path,
) -> None:
    outcome = distilled(places, "run", probe={"source": str(places / "kinds"), "validation": 0.2})
    scores = outcome.scores
    roles = {model["role"]: model for model in scores["models"]}
    assert list(roles) == ["teacher", "control", "student"]
    assert roles["teacher"]["runs"][0]["test"]["last"] == 1.0, "it agrees with itself"
    assert all(run["given"] for run in roles["control"]["runs"]), "nothing to train it with"
    assert scores["data"]["classes"] == 0
    assert scores["verdict"]["gain"] is not None
    assert "whose names are not read" not in " ".join(outcome.warnings), "a flat folder"

    # The answers are embeddings, and their label is what the teacher says.
    answers = read_answers(outcome.directory)
    theirs = answers.label
    assert theirs is not None
    mine = answers.of["student", 0]["embedding"]
    shown = roles["student"]["runs"][0]["test"]["last"]
    assert shown == pytest.approx(neighbour_overlap(mine, theirs, k=2).mean().item())
    assert torch.equal(answers.of["teacher", 0]["embedding"], theirs)

    # The product gives its embedding; it has no classifier.
    student = outcome.student
    assert not [name for name in student.state_dict() if name.startswith("fc")]
    assert embedding(student, torch.zeros(2, 3, 8, 8)).shape == (2, 8)

    image = Image.open(places / "pile" / "1.png")
    (home,) = sh.load(outcome.directory).predict(image)
    shown = sh.load(outcome.directory).model(_normalised(outcome.directory, image))
    assert torch.allclose(home.output, torch.nn.functional.normalize(shown, dim=1)[0], atol=1e-5)

    probe = scores["probe"]
    assert (probe["classes"], probe["train"], probe["test"]) == (2, 38, 12)
    by_role = [one["role"] for one in probe["scores"]]
    assert by_role == ["teacher", "control", "control", "student",
                       "student", "supervised", "supervised"]  # fmt: skip
    assert all(0 <= one["neighbours"] <= 1 and 0 <= one["linear"] <= 1 for one in probe["scores"])
    assert ["own" in one for one in probe["scores"]] == [False] * 5 + [True] * 2
    assert probe["scores"][0]["linear"] > 0.9, "dark and light images are told apart"
    assert any("probe: " in line and "test images are among" in line for line in outcome.warnings)
    page = outcome.report.read_text()
    assert "Probed with labels" in page
    assert "untrained" in page
    assert "same budget and no teacher" not in page

    again = distilled(places, "run", probe={"source": str(places / "kinds"), "validation": 0.2})
    assert again.scores == scores, "found finished"


def test_a_cached_teacher_and_a_live_one_give_the_same_student(places: Path) -> None:
    states = []
    for use in ("never", "always"):
        outcome = distilled(places, f"cache-{use}", seeds=[0], control=False, cache=use)
        states.append(load_state(outcome.directory / "student.safetensors"))
        assert outcome.scores["verdict"]["word"] == "no control"
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"method": "kd"}, "neither labels nor classes. What fits is fitnet"),
        ({"method": "embedding_kd"}, "write it with kd_weight: 0"),
        ({"method": "simkd"}, "What fits is"),
        ({"method": "th_kd"}, "What fits is"),
        ({"student": {"model": "convnet-4-8", "head": "shared"}}, "no classifier"),
        ({"method": "at", "teacher": "two"}, "of 2 teachers it hears members.0.layer2 alone"),
        ({"method": "label_smoothing", "teacher": None}, "what is right is what the teacher says"),
        ({"teacher": "resnet8"}, "would have to learn from labels"),
        ({"data": {"label": "label"}}, "reads no labels"),
        ({"task": "embedding"}, "21 or more"),
        ({"task": "classification", "data": "kinds", "probe": "digits"}, "leave it out"),
        ({"teacher": {"model": "convnet-6-12", "weights": "here", "centres": True}}, "centres is"),
        ({"teacher": {"model": "convnet-6-12", "weights": "here", "classes": ["a"]}}, "classes is"),
        ({"student": {"model": "convnet-6-12", "head": "shared"}}, "leave out head"),
        ({"transfer": {"count": 8}}, "leave transfer out"),
        ({"probe": "digits"}, r"images of the probe are \[1, 8, 8\]"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_trained(
    places: Path, changed: dict[str, object], said: str
) -> None:
    if changed.get("data") == "kinds":
        changed = {**changed, "data": str(places / "kinds")}
    if isinstance(changed.get("data"), dict):
        changed = {**changed, "data": {"source": str(places / "pile"), **changed["data"]}}
    if changed.get("teacher") == "two":
        changed = {**changed, "teacher": two_teachers(places)}
    asked = changed.get("teacher")
    if isinstance(asked, dict):
        changed = {**changed, "teacher": {**asked, "weights": str(places / "teacher.safetensors")}}
    with pytest.raises(StillhouseError, match=said):
        distilled(places, "refused", **changed)
    assert not (places / "refused").exists()


def two_teachers(places: Path) -> list[dict[str, object]]:
    """Another network beside the teacher, narrower and at a resolution of its own."""
    if not (places / "second.safetensors").exists():
        with torch.random.fork_rng():
            torch.manual_seed(2)
            second = build_model("convnet-6-8", classes=3)
        save_file(second.state_dict(), places / "second.safetensors")
    return [
        {"model": "convnet-6-12", "weights": str(places / "teacher.safetensors")},
        {
            "model": "convnet-6-8",
            "weights": str(places / "second.safetensors"),
            "input": {"size": 12},
        },
    ]


def test_several_teachers_cached_and_after_a_stop_teach_the_same_student(places: Path) -> None:
    changed = {
        "teacher": two_teachers(places),
        "method": {**KD, "distance": "l2"},
        "checkpoint_seconds": 0.0,
    }
    with pytest.raises(KeyboardInterrupt):
        distilled(places, "both", **changed, watcher=StopAmid(1), cache="never")
    assert list(places.glob("both*/**/checkpoint.pt"))
    outcome = distilled(places, "both", **changed, cache="never")
    cached = distilled(places, "both-cached", **changed, seeds=[0], control=False, cache="always")
    mine, theirs = (
        load_state(each.directory / "student.safetensors") for each in (outcome, cached)
    )
    assert all(torch.equal(mine[name], value) for name, value in theirs.items())
    kept = {path.name.rpartition("-")[0] for path in places.glob("both-shared/*")}
    assert {"phi-s-convnet-6-12", "phi-s-convnet-6-8"} <= kept

    # What is measured: each teacher's own embedding, by hand from its network and the saved ones.
    answers = read_answers(outcome.directory)
    label = answers.label
    assert label is not None
    assert label.shape == (12, 2, 12)
    assert label[:, 1, 8:].isnan().all(), "behind the narrower one"
    student = answers.of["student", 0]["embedding"]
    each = [
        neighbour_overlap(student, theirs, k=2).mean().item()
        for theirs in (label[:, 0], label[:, 1, :8])
    ]
    roles = {model["role"]: model for model in outcome.scores["models"]}
    assert roles["student"]["runs"][0]["test"]["last"] == pytest.approx(sum(each) / 2)
    (figures,) = outcome.scores["figures"]
    found = {one["role"]: one["figures"] for one in figures["networks"]}
    for at, value in enumerate(each, start=1):
        known = found["student"][f"neighbour overlap, teacher {at}"]["by_seed"][0]
        assert known == pytest.approx(value)
        assert found[f"teacher {at}"][f"CKA, teacher {at}"]["value"] == pytest.approx(1.0)
    assert set(found["control"]) == {
        "neighbour overlap", "neighbour overlap, teacher 1", "neighbour overlap, teacher 2",
        "CKA", "CKA, teacher 1", "CKA, teacher 2", "cosine, teacher 2",
    }  # fmt: skip
    assert set(figures["gains"]) == set(found["control"])
    page = outcome.report.read_text()
    assert "Agreement with the teachers" in page
    assert "neighbour overlap, teacher 2, %" in page


def test_a_study_without_labels_pairs_its_arms(places: Path, tmp_path: Path) -> None:
    table = sh.study(
        {
            **SMALL,
            "data": str(places / "pile"),
            "student": "convnet-4-8",
            "teacher": {"model": "convnet-6-12", "weights": str(places / "teacher.safetensors")},
            "methods": ["rkd", "sp"],
            "arms": {"embedding": {"method": KD}},
            "against": "embedding",
            "epochs": 1,
            "seeds": 1,
        },
        out=tmp_path / "study",
    ).scores
    assert [arm["state"] for arm in table["arms"]] == ["finished"] * 3
    assert table["task"]["metric"]["name"] == "neighbour overlap"
    assert len({arm["controls"][0]["test"]["last"] for arm in table["arms"]}) == 1
    assert (tmp_path / "study" / "report.html").is_file()


def test_rows_of_the_probe_are_means_over_seeds() -> None:
    from stillhouse.records.probe import ProbeRecord

    one = {"role": "student", "neighbours": 0.5, "linear": 0.25, "strength": 1.0, "converged": True}
    scores = [{**one, "seed": seed, "neighbours": 0.5 + 0.1 * seed} for seed in range(3)]
    record = ProbeRecord.model_validate(
        {"data": "d", "train": 5, "test": 5, "classes": 2, "neighbours": 20, "temperature": 0.07,
         "scores": scores}
    )  # fmt: skip
    (row,) = probe_rows(record)
    assert (row.neighbours, row.linear, row.own) == ("60.00 ± 24.84", "25.00 ± 0.00", NOTHING)
    assert probe_rows(None) == ()


def test_votes_and_labels_agree_on_what_a_probe_says() -> None:
    x, y = torch.eye(4), torch.arange(4)
    assert neighbour_votes(x, x, y, k=1).argmax(1).tolist() == y.tolist()
