"""The main job from Python: own modules, own datasets, own transforms."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import tiny_net
from torch import nn

import stillhouse as sh
from stillhouse.errors import DataError, RecipeError, WiringError
from stillhouse.recipes.plain import plain_values


class Coloured(torch.utils.data.Dataset):
    """Images of three classes that differ in brightness, as arrays."""

    def __init__(self, count: int) -> None:
        made = np.random.default_rng(count)
        self.labels = [row % 3 for row in range(count)]
        self.images = [
            (made.integers(0, 60, (8, 8, 3)) + 60 * label).astype(np.uint8) for label in self.labels
        ]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[np.ndarray, int]:
        return self.images[row], self.labels[row]


BUDGET = {"epochs": np.int64(2), "batch": torch.tensor(16), "seeds": 2, "precision": "fp32"}


def test_own_modules_and_datasets(tmp_path: Path, capsys) -> None:
    teacher, heard = tiny_net(8, 3), list[sh.EpochEnd]()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    outcome = sh.distill(
        data=(Coloured(90), Coloured(30)),
        teacher=teacher,
        student=lambda: tiny_net(4, 1),
        out=tmp_path / "run",
        on_epoch=heard.append,
        **BUDGET,
    )
    assert "paired seeds" in outcome.verdict
    every = [(who, seed, at) for seed in (0, 1) for who in ("control", "student") for at in (1, 2)]
    assert [(each.stage, each.seed, each.epoch) for each in heard] == every
    lines = map(json.loads, (tmp_path / "run/metrics.jsonl").read_text().splitlines())
    written = {(each["stage"], each["seed"], each["epoch"]): each for each in lines}
    for each in heard:
        line = written[each.stage, each.seed, each.epoch]
        assert each.epochs == 2
        assert each.validation == line["validation"]["student"]["accuracy"]
        assert (each.loss, each.terms, each.metric) == (line["loss"], line["terms"], "accuracy")
    printed = [line for line in capsys.readouterr().out.splitlines() if "warning" not in line]
    assert [line.split(",")[0] for line in printed] == [
        f"{who} seed {seed}: epoch 2" for seed in (0, 1) for who in ("control", "student")
    ], "where there is no terminal a training is a line, when it ends"
    assert outcome.report.is_file()
    assert not outcome.student.training
    assert outcome.student(torch.zeros(1, 3, 8, 8)).shape == (1, 3)
    assert outcome.scores["models"][0]["runs"][0]["given"]
    assert all(torch.equal(before[k], v) for k, v in teacher.state_dict().items())


def test_any_transform_runs_under_the_seed_of_its_view(tmp_path: Path) -> None:
    def shake(image) -> torch.Tensor:
        pixels = torch.as_tensor(np.asarray(image)).float().permute(2, 0, 1) / 255
        return pixels + 0.1 * random.random() + 0.1 * np.random.rand() + 0.1 * torch.rand(1)

    def run(folder: str):
        return sh.distill(
            data={
                "source": (Coloured(60), Coloured(30)),
                "transform": shake,
                "eval_transform": shake,
            },
            teacher=tiny_net(8, 3),
            student=lambda: tiny_net(4),
            out=tmp_path / folder,
            **{**BUDGET, "seeds": 1},
        )

    first, second = run("a/one"), run("b/one")
    pairs = zip(first.student.parameters(), second.student.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_problems_are_found_before_the_teacher_is_trained(tmp_path: Path) -> None:
    with pytest.raises(WiringError, match=r"teacher alone.*tells 5 classes apart"):
        sh.distill(
            data=(Coloured(60), Coloured(30)),
            teacher=nn.Sequential(nn.Flatten(), nn.Linear(192, 5)),
            student=lambda: tiny_net(4),
            out=tmp_path / "run",
            **BUDGET,
        )
    with pytest.raises(DataError):
        sh.distill(data=(Coloured(2), Coloured(30)), teacher=tiny_net(8), student=tiny_net(4),
                   out=tmp_path / "run", **BUDGET)  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_a_model_of_other_classes_is_refused(tmp_path: Path) -> None:
    two = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    with pytest.raises(WiringError, match="tells 2 classes apart, the data has 3"):
        sh.distill(data=(Coloured(60), Coloured(30)), teacher=two, student=lambda: two,
                   out=tmp_path / "run", **BUDGET)  # fmt: skip


def test_a_random_transform_never_meets_the_test_set_by_accident(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="eval_transform"):
        sh.distill(data={"source": (Coloured(60), Coloured(30)), "transform": torch.as_tensor},
                   teacher=tiny_net(8), student=tiny_net(4), out=tmp_path / "run",
                   **BUDGET)  # fmt: skip


def test_a_stage_of_ones_own_is_a_few_lines(train) -> None:
    """A mix that no paper names needs no new class."""
    from stillhouse.engine.platform import open_platform
    from stillhouse.engine.trainer import Settings

    student = sh.Role("student", tiny_net(4, 1))
    teacher = sh.Role("teacher", tiny_net(4, 2))
    stage = sh.Stage(
        "mine",
        [student, teacher],
        [
            sh.Update(
                "student",
                [
                    sh.Term("map", sh.functional.mse, ["student.conv", "teacher.conv"], weight=0.5),
                    sh.Term("kd", sh.functional.kl, ["student.logits", "teacher.logits"]),
                ],
            )
        ],
    )
    fitted = sh.fit(stage, train, settings=Settings(epochs=3), platform=open_platform(device="cpu"))
    first, last = (fitted.history[at]["terms"]["map"] for at in (0, -1))
    assert last < first


def test_a_study_from_a_mapping_or_a_file_is_the_same(tmp_path: Path) -> None:
    values = {
        "data": {"source": "digits", "limit": 64}, "teacher": {"model": "convnet-4", "epochs": 1},
        "student": "convnet-4", "arms": {"kd": None, "dkd": {"method": "dkd"}}, "axis": "teacher",
        **BUDGET, "epochs": 1, "seeds": 1, "cache": "never", "compile": False,
    }  # fmt: skip
    outcome = sh.study(values, out=tmp_path / "s")
    assert [arm["name"] for arm in outcome.scores["arms"]] == ["kd", "dkd"]
    assert outcome.report.is_file()
    again = sh.study(tmp_path / "s/study.yaml", out=tmp_path / "s")
    assert again.scores["arms"] == outcome.scores["arms"]


WRONG = {
    "no seed": ({"seeds": []}, "seeds: it is []"),
    "no seed of an array": ({"seeds": np.zeros(0, int)}, "seeds: it is []"),
    "a seed twice": ({"seeds": iter([3, 3])}, "[3, 3]: each seed may come once"),
    "far too many seeds": ({"seeds": np.int64(10**9)}, "1,000,000,000 of them are asked for"),
    "a long range": ({"seeds": range(10**12)}, "'seeds' is a list of 1,000,000,000,000"),
    "without end": ({"seeds": iter(int, 1)}, "10,000 are the most"),
    "a table": ({"seeds": np.ones((2, 2), int)}, "an array of shape [2, 2]"),
    "no number": ({"epochs": torch.tensor(float("nan"))}, "'epochs' is nan"),
    "a part": ({"batch": np.float32(1.5)}, "'batch' is 1.5"),
    "a truth": ({"seeds": np.bool_(True)}, "it is true"),
    "without numbers": ({"epochs": torch.zeros((), device="meta")}, "cannot be read"),
    "no peers": ({"peers": np.int64(0), "method": "dml"}, "peers is 0"),
    "peers that are none": ({"peers": iter([3]), "method": "dml"}, "3 is no network"),
    "no source": ({"data": {"size": 8}}, "the data have no source"),
    "no function": ({"data": {"source": "digits", "transform": 3}}, "data.transform is 3; give a"),
    "input": ({"student": {"model": "resnet8", "input": 3}}, "'student.input' is 3; it must be"),
    "teacher": ({"teacher": 3}, "3 is no network; give a name"),
    "task": ({"task": 3}, "task is 3; give a name"),
    "out": ({"out": None}, "out: it is None"),
    "shared": ({"shared": 3}, "shared: it is 3"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_python_gives_wrongly_is_a_sentence(case: str, tmp_path: Path) -> None:
    asked, expected = WRONG[case]
    out = tmp_path / "run"
    with pytest.raises(RecipeError) as found:
        sh.distill(**{"data": "digits", "student": "resnet8", "teacher": "resnet8", "out": out,
                      **asked})  # fmt: skip
    assert expected in str(found.value)
    assert not out.exists()


def test_numbers_are_taken_of_any_library() -> None:
    plain = plain_values({
        "seeds": (seed for seed in (1, 2)), "peers": torch.tensor(2), "batch": {np.int8(3)},
    })  # fmt: skip
    assert plain == {"seeds": [1, 2], "peers": 2, "batch": [3]}
