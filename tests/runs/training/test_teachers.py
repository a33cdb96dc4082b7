"""Where a teacher comes from: classifiers taken over, snapshots, chains, one per student."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import stillhouse as sh
from stillhouse.errors import ModelError, RecipeError, WiringError
from stillhouse.recipes import make_recipe
from stillhouse.runs.run import Objects, prepare, run
from stillhouse.runs.training.teachers import TrainedTeacher, teacher_stage

SMALL, LARGE = "convnet-4-8-16", "convnet-8-8-16"
HEAD = ("head.weight", "head.bias")
TINY = {"limit": 160, "augment": "none"}


def distil(out: Path, **settings):
    wanted = {
        "data": {"source": "digits", **TINY},
        "student": SMALL,
        "teacher": LARGE,
        "epochs": 2,
        "batch": 32,
        "seeds": 1,
        "precision": "fp32",
        **settings,
    }
    return sh.distill(out=out, **wanted)


def shared(out: Path, role: str) -> list[dict[str, torch.Tensor]]:
    found = sorted((out.parent / "shared").glob(f"{role}-*/student.safetensors"))
    return [load_file(path) for path in found]


def classifier(weights: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([value.flatten() for key, value in weights.items() if key.startswith("fc")])


def head_sharing(student_head: str) -> dict:
    return {
        "teacher": {"model": LARGE, "seed": "student", "head": {"model": SMALL, "seed": "student"}},
        "student": {"model": SMALL, "head": student_head},
    }


def roles(outcome) -> dict[str, list[int]]:
    return {
        model["role"]: [run["seed"] for run in model["runs"]] for model in outcome.scores["models"]
    }


@pytest.mark.parametrize("head", ["own", "shared", "copied"])
def test_one_classifier_through_three_stages(head: str, tmp_path: Path) -> None:
    outcome = distil(tmp_path / "run", **head_sharing(head))
    (temporary,), (teacher,) = (
        shared(tmp_path / "run", "temporary"),
        shared(tmp_path / "run", "teacher"),
    )
    student = load_file(tmp_path / "run/student.safetensors")
    assert torch.equal(classifier(temporary), classifier(teacher))
    assert torch.equal(classifier(teacher), classifier(student)) == (head == "shared")
    assert roles(outcome) == {
        "teacher": [1000], "temporary": [2000], "control": [0], "student": [0]
    }  # fmt: skip
    control = shared(tmp_path / "run", "control")[0]
    assert not torch.equal(classifier(control), classifier(teacher))


def test_each_seed_has_its_own_teacher_or_all_have_one(tmp_path: Path) -> None:
    own = distil(tmp_path / "own", seeds=2, teacher={"model": LARGE, "seed": "student"})
    assert roles(own)["teacher"] == [1000, 1001]
    one = distil(tmp_path / "one", seeds=2, teacher={"model": LARGE, "seed": 7})
    assert roles(one)["teacher"] == [7]
    again = distil(tmp_path / "own", seeds=2, teacher={"model": LARGE, "seed": "student"})
    assert again.scores == own.scores
    assert torch.equal(again.student.fc.weight, own.student.fc.weight)


def test_a_snapshot_teaches(tmp_path: Path) -> None:
    teacher = {"model": LARGE, "epochs": 5, "until": {"epoch": 1}}
    outcome = distil(tmp_path / "run", teacher=teacher)
    assert outcome.scores["models"][0]["runs"][0]["epochs"] == 1
    whole = distil(tmp_path / "whole", teacher={"model": LARGE, "epochs": 5})
    assert whole.scores["models"][0]["runs"][0]["epochs"] == 5
    assert len(shared(tmp_path / "run", "teacher")) == 2


def test_a_chain_of_teachers(tmp_path: Path) -> None:
    middle = {"model": SMALL, "method": "kd", "teacher": {"model": LARGE, "epochs": 1}, "seed": 3}
    outcome = distil(tmp_path / "run", teacher=middle)
    assert list(roles(outcome)) == ["teacher", "teacher's teacher", "control", "student"]
    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    taught = [json.loads(line) for line in lines]
    assert "kd" in next(line for line in taught if line["stage"] == "teacher")["terms"]
    assert "kd" not in next(line for line in taught if line["stage"] == "control")["terms"]


def test_classifiers_that_do_not_fit_are_told_before_anything_is_trained(tmp_path: Path) -> None:
    recipe = make_recipe(
        {
            "data": {"source": "digits", **TINY},
            "teacher": {"model": "convnet-8-8-32", "head": SMALL},
            "student": SMALL,
        }
    )
    with pytest.raises(
        ModelError, match=r"cannot take over.*Linear.*\[10, 32\].*\[10, 16\].*equally wide"
    ):
        prepare(recipe, tmp_path / "run")
    recipe = recipe.model_copy(
        update={"student": recipe.student.model_copy(update={"head": "shared"})}
    )
    plain = make_recipe({**recipe.model_dump(), "teacher": "convnet-8-8-32"})
    with pytest.raises(ModelError, match="equally wide"):
        prepare(plain, tmp_path / "run")
    assert not (tmp_path / "shared").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"teacher": {"model": LARGE, "weights": "w.pt", "until": {"epoch": 1}}},
            "until says nothing",
        ),
        ({"teacher": {"model": LARGE, "until": {"epoch": 1, "accuracy": 0.1}}}, "say one"),
        ({"teacher": {"model": LARGE, "until": {"epoch": 9}, "epochs": 4}}, "9 and it has 4"),
        ({"teacher": {"model": LARGE, "teacher": SMALL}}, "no method; add method: kd"),
        ({"teacher": {"model": LARGE, "method": "kd"}}, "'kd' needs a teacher"),
        (
            {"teacher": {"model": LARGE, "method": "label_smoothing", "teacher": SMALL}},
            "'label_smoothing' takes no teacher",
        ),
        ({"teacher": {"model": LARGE, "weights": "w.pt", "seed": "student"}}, "seed: student says"),
        ({"teacher": {"model": LARGE, "weights": "w.pt", "epochs": 3}}, "epochs says nothing"),
        ({"teacher": {"model": LARGE, "until": {"epoch": 50}}}, "until.epoch is 50 of 30 epochs"),
        (
            {"teacher": {"model": LARGE, "head": {"model": SMALL, "seed": "student"}}},
            "give it seed: student too",
        ),
        ({"teacher": {"model": LARGE, "seed": "student"}, "seeds": [0, 1000]}, "smaller ones"),
        ({"teacher": {"model": LARGE, "hat": 1}}, "no key 'teacher.hat'; nearest: head"),
        ({"method": "plain", "student": {"model": SMALL, "head": "shared"}}, "there is no teacher"),
    ],
)  # fmt: skip
def test_recipes_that_cannot_be(change: dict, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        make_recipe(
            {
                "data": "digits",
                "student": SMALL,
                **({} if "method" in change else {"teacher": LARGE}),
                **change,
            }
        )


def prepared(out: Path, **settings):
    values = {"data": {"source": "digits", **TINY}, "student": SMALL, "teacher": LARGE, **settings}
    return prepare(make_recipe(values), out)


def test_what_cannot_be_done_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    for until, said in (
        ({"accuracy": 0}, r"until\.accuracy is 0; it is a share.*greater than 0"),
        ({"accuracy": 85}, r"until\.accuracy is 85; it is a share, not percent"),
        ({"acuracy": 0.5}, r"until\.acuracy: this task is measured by accuracy"),
    ):
        with pytest.raises(RecipeError, match=said):
            prepared(tmp_path / "run", teacher={"model": LARGE, "until": until})
    with pytest.raises(RecipeError, match=r"read from validation data; give data\.validation"):
        prepared(
            tmp_path / "run",
            data={"source": "digits", **TINY, "validation": 0},
            teacher={"model": LARGE, "until": {"accuracy": 0.1}},
        )
    with pytest.raises(
        RecipeError, match="the teacher cache of one teacher, and each student has its"
    ):
        prepared(
            tmp_path / "run",
            teacher={"model": LARGE, "seed": "student"},
            cache={"directory": str(tmp_path / "cache")},
        )
    assert not (tmp_path / "shared").exists()


def test_the_input_of_a_teachers_teacher_decides_the_teacher(tmp_path: Path) -> None:
    def taught(**more) -> str:
        inner = {"model": LARGE, "epochs": 1, **more}
        job = prepared(tmp_path / "run", teacher={"model": SMALL, "method": "kd", "teacher": inner})
        before = TrainedTeacher(job.teacher.teacher, 0, job.teacher.teacher.make(0))
        _, more = teacher_stage(job.teacher, job.teacher.make(0), before=before)
        return str(sorted(more.items()))

    assert taught() != taught(input={"mean": [0.5], "std": [0.2]})


def test_equal_roles_of_a_family_have_different_names(tmp_path: Path) -> None:
    head = {"model": SMALL, "head": {"model": SMALL, "seed": 5}}
    chain = {"model": LARGE, "teacher": LARGE, "method": "kd", "head": SMALL}
    job = prepared(tmp_path / "run", teacher={**chain, "head": head, "teacher": chain})
    names = [teacher.role for teacher in job.teachers]
    assert len(set(names)) == len(names) == 6
    assert names[:3] == ["teacher", "temporary", "temporary's head"]


class Twisted(torch.nn.Module):
    """Its last Linear is not the one that gives the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(64, 10)
        self.first = torch.nn.Linear(64, 64)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.first(image.flatten(1))))


@pytest.mark.parametrize("method", ["kd", "th_kd"])
def test_a_classifier_that_is_named_is_used_everywhere(method: str, tmp_path: Path) -> None:
    outcome = distil_named("fc", tmp_path / "named", method)
    student = outcome.scores["models"][-1]["runs"][0]
    assert len(student["diagnostics"]["head_cosine"]) == 10
    with pytest.raises(WiringError, match="is taken for the head, but its output is not the"):
        distil_named("first", tmp_path / "wrong", method)


def distil_named(path: str, out: Path, method: str):
    recipe = make_recipe(
        {
            "data": {"source": "digits", **TINY},
            "student": {"model": "Twisted", "head_path": path},
            "teacher": {"model": "Twisted", "head_path": path},
            "method": method,
            "epochs": 1,
            "seeds": 1,
        }
    )
    objects = Objects(student=Twisted, teacher=Twisted())
    return run(prepare(recipe, out, objects=objects))
