"""Networks that learn on from weights of elsewhere: what is taken, what is new, at which rate."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from stillhouse.engine.optimisers import adamw, optimizer_of, sgd
from stillhouse.engine.rates import scale_rates
from stillhouse.engine.schedules import one_cycle
from stillhouse.engine.trainer import Trainer, opened
from stillhouse.errors import RecipeError, WeightsError
from stillhouse.models import build_model
from stillhouse.recipes import make_recipe
from stillhouse.records.metric import Metric
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.watcher import SilentWatcher
from stillhouse.runs.preflight import check, networks_told
from stillhouse.runs.run import prepare, run
from stillhouse.runs.training.teachers import teacher_stage

NAME = "convnet-4-8"
TINY = {
    "data": {"source": "digits", "limit": 64},
    "student": "convnet-4-4",
    "epochs": 1,
    "seeds": 1,
    "batch": 64,
    "precision": "fp32",
    "checkpoint_seconds": 0,
    "optimizer": {"name": "sgd", "lr": 0.2, "no_decay": ["norms", "biases"]},
}
HEAD = ["fc.weight", "fc.bias"]


class Interrupting(SilentWatcher):
    """Stops a run after so many epochs: here in the midst of the student's training."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def epoch(self, record: Mapping[str, Any], metric: Metric) -> None:
        """One less."""
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of the same network for 12 and for 10 classes, and one whose values are others."""
    folder = tmp_path_factory.mktemp("files")
    for seed, (name, classes) in enumerate({"twelve": 12, "ten": 10, "other": 12}.items()):
        torch.manual_seed(seed)
        torch.save(
            build_model(NAME, classes=classes, channels=1).state_dict(), folder / f"{name}.pt"
        )
    return folder


def prepared(files: Path, **sections: object) -> Job:
    return prepare(make_recipe({**TINY, **sections}), files / "run")


def from_file(files: Path, name: str = "twelve", **more: object) -> dict[str, object]:
    return {"model": NAME, "start": files / f"{name}.pt", **more}


def rates(job: Job, stage: object) -> dict[str, list[tuple[float, float]]]:
    """Rate and weight decay of each learning parameter of each role, as the first step has them."""
    settings, platform = job.settings(0), job.data.platform
    with opened(stage, job.data.train(0), settings, platform) as objective:
        trainer = Trainer(objective, job.data.train(0), settings, platform)
        (stepper,) = trainer.steppers
        found: dict[str, list[tuple[float, float]]] = {}
        for name, parameter in stepper.update.composite.learners.named_parameters():
            groups = [
                group
                for group in stepper.optimizer.param_groups
                if any(p is parameter for p in group["params"])
            ]
            found[name] = [(group["lr"], group["weight_decay"]) for group in groups]
        assert stepper.lr == 0.2, "what is told is the rate of the recipe"
        return found


def test_what_starts_from_a_file_has_its_body_and_a_new_classifier(files: Path) -> None:
    """Teacher, student, control and peer: bit for bit before training, at the rates by hand."""
    slow = {"lr_scale": 0.25}
    job = prepared(
        files,
        teacher=from_file(files, **slow, epochs=2),
        student=from_file(files, **slow),
    )
    held = torch.load(files / "twelve.pt", weights_only=True)
    start, teacher = job.start(0), job.teacher.make(0)
    for network in (start.student, job.start(1).student, teacher):
        for name, value in network.state_dict().items():
            if name not in HEAD:
                assert torch.equal(value, held[name]), name
        assert network.fc.weight.shape == (10, 8)
    assert not torch.equal(start.student.fc.weight, job.start(1).student.fc.weight)
    # By hand: the rate of the recipe is 0.2, of what came 0.25 of it; sgd decays weights by 5e-4.
    control = job.control_stage(job.start(0).student)
    own, _ = teacher_stage(job.teacher, teacher)
    for stage in (control, job.student_stage(start, teacher), own):
        for name, found in rates(job, stage).items():
            rate = 0.2 if name.removeprefix("student.") in HEAD else 0.05
            matrix = name.endswith((".conv.weight", "fc.weight"))
            assert found == [(rate, 5e-4 if matrix else 0.0)], name
    again = job.start(0).student.state_dict()
    alone = control.role("student").module.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in alone.items())
    line = (
        "starts from weights of twelve.pt with a new classifier (fc), which has to be trained; "
        "what came from there learns at 0.25 of the rate"
    )
    assert networks_told(job) == [f"teacher: {line}", f"student: {line}"]
    assert not job.teacher.given


def test_a_peer_starts_so_too(files: Path) -> None:
    peers = [from_file(files, lr_scale=0.5), "convnet-4-4"]
    job = prepared(files, method="dml", peers=peers)
    start = job.start(0)
    held = torch.load(files / "twelve.pt", weights_only=True)
    assert torch.equal(start.peers[0].layer2.conv.weight, held["layer2.conv.weight"])
    stage = job.student_stage(start, None)
    scales = [stage.role(name).lr_scales for name in ("student", "peer1", "peer2")]
    assert [set(each.values()) for each in scales] == [set(), {0.5}, set()]
    assert start.peers[0].fc.weight not in scales[1]


def test_a_classifier_for_as_many_classes_is_taken_and_that_is_said(files: Path) -> None:
    held = torch.load(files / "ten.pt", weights_only=True)
    job = prepared(files, teacher=from_file(files, "ten"))
    assert torch.equal(job.teacher.make(0).fc.weight, held["fc.weight"])
    told = (
        "starts from weights of ten.pt, its classifier too (weights_head: new starts a fresh one)"
    )
    assert networks_told(job) == [f"teacher: {told}"]
    job = prepared(files, teacher=from_file(files, "ten", weights_head="new"))
    assert not torch.equal(job.teacher.make(0).fc.weight, held["fc.weight"])


def test_a_start_is_of_the_identity_and_trained_and_found_again(
    files: Path, tmp_path: Path
) -> None:
    def identity(**more: object) -> str:
        job = prepared(files, student=from_file(files, **more), method="plain")
        return job.identity("control", job.settings(0), job.student)

    known = [identity(), identity(lr_scale=0.5), identity(name="other"), identity(name="ten")]
    assert len(set(known)) == 4
    assert identity() == known[0]
    section = from_file(files, lr_scale=0.5)
    values = {**TINY, "epochs": 2, "control": False, "teacher": section, "student": section}
    recipe = make_recipe(values)
    cut = prepare(recipe, tmp_path / "cut" / "run")

    object.__setattr__(cut, "watcher", Interrupting(epochs=3))
    with pytest.raises(KeyboardInterrupt):
        run(cut)
    run(prepare(recipe, tmp_path / "cut" / "run"))
    outcome = run(prepare(recipe, tmp_path / "run"))
    made = sorted(outcome.directory.rglob("student.safetensors"))
    again = [tmp_path / "cut" / "run" / file.relative_to(outcome.directory) for file in made]
    assert made
    for one, other in zip(made, again, strict=True):
        assert one.read_bytes() == other.read_bytes(), "cut short and resumed: the same bits"
    written = yaml.safe_load((outcome.directory / "resolved.yaml").read_text())
    assert written["teacher"]["start"] == str(files / "twelve.pt")
    assert not outcome.scores["models"][0]["runs"][0].get("given"), "it learnt here"
    body = torch.load(files / "twelve.pt", weights_only=True)["layer2.conv.weight"]
    assert run(prepare(recipe, tmp_path / "run")).scores == outcome.scores, "found finished"
    job = prepare(recipe, tmp_path / "run")
    assert torch.equal(job.teacher.make(0).layer2.conv.weight, body), "the file is as it was"


def test_a_file_that_does_not_fit_names_the_role(files: Path) -> None:
    with pytest.raises(WeightsError, match=r"^teacher: weights file .* does not fit ConvNet"):
        prepared(files, teacher=from_file(files, model="convnet-4-16"))
    bad = torch.load(files / "ten.pt", weights_only=True)
    bad["fc.weight"][0, 0] = float("nan")
    torch.save(bad, files / "nan.pt")
    with pytest.raises(WeightsError, match=r"^student: .* not finite \(fc.weight\)"):
        check(prepared(files, student=from_file(files, "nan"), method="plain"))


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"start": "a.pt", "weights": "b.pt"}, "weights and start both say where"),
        ({"lr_scale": 0.1}, "say start: FILE, or pretrained"),
        ({"weights": "a.pt", "lr_scale": 0.1}, "say start: FILE in place of weights"),
        ({"start": 3}, "start' is 3; it must be a word"),
        ({"start": "a.pt", "lr_scale": 0}, "lr_scale"),
        ({"start": "a.pt", "lr_scale": 2}, "lr_scale"),
        ({"start": "pretrained"}, "'convnet-4-8' has none of its own: say start: FILE"),
        ({"model": "timm:resnet18:pretrained", "start": "a.pt"}, "says itself where it starts"),
        ({"model": "timm:resnet18", "start": "pretrained", "weights_key": "ema"}, "how a file is"),
    ],
)
def test_what_does_not_go_together_is_refused(section: dict[str, object], said: str) -> None:
    for role in ("teacher", "student"):
        with pytest.raises(RecipeError, match=said):
            make_recipe({**TINY, "teacher": "resnet8", role: {"model": NAME, **section}})


def test_a_given_teacher_is_taken_as_it_is(files: Path) -> None:
    job = prepared(files, teacher={"model": NAME, "weights": files / "ten.pt"})
    assert job.teacher.given
    assert networks_told(job) == []
    with pytest.raises(RecipeError, match=r"or say start in place of weights"):
        make_recipe(
            {**TINY, "teacher": from_file(files) | {"start": None, "weights": "a", "epochs": 1}}
        )
    with pytest.raises(RecipeError, match=r"an ensemble is not trained itself; give start"):
        make_recipe({**TINY, "teacher": {"members": [NAME, NAME], "start": files / "ten.pt"}})


@pytest.mark.parametrize("make", [sgd(0.1, no_decay=("biases",)), adamw(0.1)])
def test_tied_tensors_are_in_one_group_and_a_schedule_keeps_the_share(make: object) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3), torch.nn.Linear(3, 2))
    net[1].weight = net[0].weight
    optimizer = optimizer_of(make, net)
    scale_rates(optimizer, dict.fromkeys([*net[0].parameters(), *net[1].parameters()], 0.1))
    held = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(held) == len({id(p) for p in held}) == 5
    schedule = one_cycle()(optimizer, 10, 5)
    for _ in range(3):
        optimizer.step()
        schedule.step()
    found = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert found[id(net[0].weight)] == pytest.approx(0.1 * found[id(net[2].weight)], rel=1e-12)


PLACES = """
from pathlib import Path

FOLDER = Path({folder!r})
twelve = FOLDER / "twelve.pt"
number = 3


class Package:
    def there():
        return str(FOLDER / "twelve.pt")

    def fails():
        raise OSError("no disk")


def needs(what):
    return what
"""


@pytest.fixture
def places(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that says where weights lie, in the working directory."""
    (files / "places_of_weights.py").write_text(PLACES.format(folder=str(files)))
    monkeypatch.syspath_prepend(str(files))


@pytest.mark.parametrize("name", ["Package.there", "twelve"])
@pytest.mark.usefixtures("places")
def test_a_package_says_where_its_weights_are(files: Path, name: str) -> None:
    """As a function or a path; the run is that of the file itself."""
    section = {"model": NAME, "start": f"python:places_of_weights:{name}", "lr_scale": 0.5}
    recipe = make_recipe({**TINY, "student": section, "teacher": section})
    job = prepare(recipe, files / "run", allow_imports=True)
    held = torch.load(files / "twelve.pt", weights_only=True)
    for network in (job.start(0).student, job.teacher.make(0)):
        assert torch.equal(network.layer1.conv.weight, held["layer1.conv.weight"])
    assert "starts from weights of twelve.pt with a new classifier (fc)" in networks_told(job)[0]
    plain = prepared(files, student=from_file(files, lr_scale=0.5), teacher="convnet-4-4")
    assert job.student.identity(0) == plain.student.identity(0)
    given = {"model": NAME, "weights": f"python:places_of_weights:{name}", "weights_head": "new"}
    recipe = make_recipe({**TINY, "teacher": given})
    teacher = prepare(recipe, files / "run", allow_imports=True).teacher.make(0)
    assert torch.equal(teacher.layer1.conv.weight, held["layer1.conv.weight"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("places_of_weights:number", "teacher: .* is to give the path of a file .* gives int"),
        ("places_of_weights:Package.fails", "teacher: .* does not say where .*OSError: no disk"),
        ("places_of_weights:needs", "teacher: .* does not say where weights are: TypeError"),
        ("places_of_weights:twelv", "teacher: .* has no 'twelv'"),
        ("no_such_package:f", "teacher: .* there is no module 'no_such_package'"),
        ("places_of_weights", "write python:PACKAGE.MODULE:FUNCTION"),
    ],
)
@pytest.mark.usefixtures("places")
def test_a_package_that_gives_no_weights_is_told(files: Path, name: str, said: str) -> None:
    recipe = make_recipe({**TINY, "teacher": {"model": NAME, "start": f"python:{name}"}})
    with pytest.raises((WeightsError, RecipeError), match=said):
        prepare(recipe, files / "run", allow_imports=True).teacher.make(0)
    with pytest.raises(RecipeError, match="runs Python code; allow it with --allow-imports"):
        prepare(recipe, files / "run").teacher.make(0)
