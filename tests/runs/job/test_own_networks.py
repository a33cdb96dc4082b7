"""Networks and functions of one's own: one contract in recipe, command line and Python."""

import functools
import re
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import stillhouse as sh
from stillhouse.cli.app import main
from stillhouse.errors import DataError, ModelError, RecipeError, StillhouseError, WiringError
from stillhouse.recipes import make_recipe
from stillhouse.records.own_code import accepted, said_by
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.objects import named, teacher_objects
from stillhouse.runs.run import Objects, prepare

OFFERS = {"classes": 3, "num_classes": 3, "channels": 1, "in_chans": 1, "size": 8}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("grey") / "grey.npz"
    label = np.arange(60) % 3
    images = (label[:, None, None] * 80 + np.zeros((60, 8, 8))).astype(np.uint8)
    np.savez(file, images=images, labels=label)
    return str(file)


class Net(nn.Module):
    """One linear layer before the logits; gives both as it is told."""

    def __init__(
        self,
        classes: int = 3,
        give: Callable[[Tensor, Tensor], object] = lambda hidden, logits: logits,
        wide: int = 5,
    ) -> None:
        super().__init__()
        self.body, self.fc = nn.Linear(64, wide), nn.Linear(wide, classes)
        self.give = give

    def forward(self, image: Tensor) -> object:
        hidden = self.body(image.flatten(1)).relu()
        return self.give(hidden, self.fc(hidden))


def job_of(data: str, out: Path, own_student=None, own_teacher=None, **keys) -> Job:
    recipe = make_recipe(
        {
            "data": {"source": data, "augment": "none"},
            "student": "convnet-4-4",
            "teacher": "convnet-4-4",
            "epochs": 1,
            "seeds": 1,
            **keys,
        }
    )
    return prepare(
        recipe, out, objects=Objects(student=own_student, teacher=own_teacher), allow_imports=True
    )


@pytest.mark.parametrize(
    ("function", "given"),
    [
        (lambda: None, {}),
        (lambda classes: None, {"classes": 3}),
        (lambda num_classes, in_chans=3: None, {"num_classes": 3, "in_chans": 1}),
        (lambda size, width=4: None, {"size": 8}),
        (lambda **kwargs: None, {"classes": 3, "channels": 1}),
        (lambda num_classes, **kwargs: None, {"num_classes": 3, "channels": 1}),
        (functools.partial(lambda classes, channels: None, classes=7), {"channels": 1}),
        (functools.partial(lambda classes, channels: None, 7), {"channels": 1}),
        (Net, {"classes": 3}),
        (print, {}),
    ],
)
def test_a_function_gets_what_it_names(function, given) -> None:
    assert accepted(function, OFFERS) == given


MODULE = dedent(
    """
    from torch import nn
    from stillhouse.methods import plain

    def good(num_classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))

    def nothing(classes):
        nn.Linear(2, classes)

    def name(classes):
        return "resnet"

    def fails(classes):
        raise KeyError("no such width")

    def needs(width):
        return nn.Linear(2, width)

    NET = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    NUMBER = 7

    def no_stage(student, teacher):
        plain(student)

    def bad_method(student, teacher):
        return undefined_name
    """
)


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine_nets.py").write_text(MODULE)
    (tmp_path / "mine_broken.py").write_text("x = 1 / 0\n")
    (tmp_path / "mine_typo.py").write_text("def net(:\n    pass\n")
    (tmp_path / "mine_absent.py").write_text("import package_that_is_not_there\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("mine_")]:
        del sys.modules[name]


PLACES = [
    ("mine_nets:nothing", r"'mine_nets:nothing' gave None, not a torch\.nn\.Module"),
    ("mine_nets:name", r"gave a str, not a torch\.nn\.Module"),
    ("mine_nets:fails", r"fails' failed: KeyError: 'no such width' \(mine_nets\.py:15\)"),
    ("mine_nets:needs", r"needs width; .* with those of classes, .*give the others a default"),
    ("mine_nets:NUMBER", "is a int, not a function"),
    ("mine_nets:god", r"'mine_nets' has no 'god'; nearest: good"),
    ("mine_broken:net", r"imported: ZeroDivisionError: division by zero \(mine_broken\.py:1\)"),
    ("mine_typo:net", r"cannot be imported: SyntaxError: .*\(mine_typo\.py:1\)"),
    ("mine_absent:net", r"ModuleNotFoundError: .*package_that_is_not_there.*\(mine_absent\.py:1\)"),
    ("mine_net:good", "there is no module 'mine_net' in"),
    ("mine_nets:", "write python:PACKAGE"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "said"), PLACES)
def test_what_is_wrong_with_a_function_is_one_sentence(place, said, data, mine) -> None:
    with pytest.raises(StillhouseError, match=said) as told:
        job_of(data, mine / "run", student=f"python:{place}")
    assert "\n" not in str(told.value)


def test_functions_and_modules_are_taken_by_their_place(data, mine) -> None:
    for name in ("good", "NET"):
        job = job_of(data, mine / "run", teacher=f"python:mine_nets:{name}")
        assert job.teacher.make(0)(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


def test_the_command_line_says_the_same(data, mine, capsys, monkeypatch) -> None:
    (mine / "recipe.yaml").write_text(
        f"data: {data}\nteacher: python:mine_nets:fails\nstudent: convnet-4-4\n"
    )
    monkeypatch.setattr(sys, "argv", ["stillhouse", "check", "recipe.yaml", "--allow-imports"])
    with pytest.raises(SystemExit) as left:
        main()
    shown = capsys.readouterr()
    assert left.value.code == 2
    assert "KeyError: 'no such width' (mine_nets.py:15)" in " ".join(
        (shown.out + shown.err).split()
    )


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("no_stage", r"it gave None, not a stillhouse\.Stage"),
        ("bad_method", r"failed: NameError: name 'undefined_name' is not .*\(mine_nets\.py:27\)"),
    ],
)  # fmt: skip
def test_a_method_of_ones_own_is_told_likewise(place, said, data, mine) -> None:
    with pytest.raises(RecipeError, match=said):
        job_of(data, mine / "run", method=f"python:mine_nets:{place}")


Pair = namedtuple("Pair", ["scores", "aux"])


@pytest.mark.parametrize(
    ("give", "section"),
    [
        (lambda h, z: (h, z), {}),
        (lambda h, z: {"hidden": h, "scores": z}, {}),
        (lambda h, z: (z, z + 1), {"output": 0}),
        (lambda h, z: Pair(z, z + 1), {"output": "scores"}),
    ],
)
def test_a_recipe_says_which_output_is_the_logits(give, section, data, tmp_path) -> None:
    net = Net(give=give)
    job = job_of(
        data,
        tmp_path,
        own_student=net,
        own_teacher=net,
        student={"model": "Net", **section},
        teacher={"model": "Net", **section},
    )
    image = torch.rand(4, 1, 8, 8)
    with torch.no_grad():
        wanted = net.fc(net.body(image.flatten(1)).relu())
        for network in (job.student.make(0), job.teacher.make(0)):
            assert torch.allclose(network(image)["logits"], wanted)
    assert net._forward_hooks == {}, "the user's own stays as it was"


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_equal_widths_are_asked_about(role, data, tmp_path) -> None:
    net = Net(give=lambda h, z: (h, z), wide=3)
    with pytest.raises(WiringError, match=rf"{role}.*: it gives several outputs .*output: 0"):
        job_of(data, tmp_path, **{f"own_{role}": net})


def test_a_choice_is_part_of_what_decides_a_training(data, tmp_path) -> None:
    net = Net(give=lambda h, z: (z, z + 1))
    one, other = (
        job_of(data, tmp_path, own_student=net, student={"model": "Net", "output": output})
        for output in (0, 1)
    )
    assert one.student.identity(0) != other.student.identity(0)


def test_objects_take_the_other_keys_of_a_section(data, tmp_path) -> None:
    outcome = sh.distill(
        data={"source": data, "augment": "none"},
        student={"model": Net(give=lambda h, z: (h, z)), "output": 1, "head_path": "fc"},
        teacher=[
            {"model": Net(give=lambda h, z: (z, z)), "output": 0},
            {"model": lambda num_classes: Net(num_classes), "epochs": 1},
        ],
        out=tmp_path / "run",
        epochs=1,
        seeds=1,
        batch=16,
    )
    models = {one["role"]: one for one in outcome.scores["models"]}
    assert models["teacher 2"]["runs"][0]["epochs"] == 1
    assert "logits" in outcome.student(torch.zeros(2, 1, 8, 8))


def test_objects_stand_anywhere_in_a_teachers_section() -> None:
    first, second = Net(), Net()
    section = {"model": "resnet8", "method": "kd", "teacher": {"model": first, "output": 1}}
    assert named(section)["teacher"] == {"model": "Net", "output": 1}
    found = teacher_objects(section)
    assert (found.model, found.teacher.model) == (None, first)
    assert [each.model for each in teacher_objects([first, "resnet8", second]).members] == [
        first, None, second,
    ]  # fmt: skip


def test_an_error_without_words_or_of_another_file_is_told_too() -> None:
    assert said_by(ValueError()) == "ValueError"
    with pytest.raises(RuntimeError) as caught:
        torch.zeros(2) + torch.zeros(3)
    said = said_by(caught.value)
    assert re.search(r"RuntimeError: The size .* \(test_own_networks\.py:\d+\)", said)


def test_a_function_that_raises_our_own_error_is_not_wrapped(data, tmp_path) -> None:
    def make(classes: int) -> nn.Module:
        raise ModelError("as it is")

    with pytest.raises(ModelError, match=r"^as it is$"):
        job_of(data, tmp_path, own_student=make)


def test_a_function_makes_every_network_anew(data: str, tmp_path: Path) -> None:
    body = nn.Linear(64, 5)
    for make in (lambda: nn.Sequential(nn.Flatten(), body, nn.Linear(5, 3)), lambda: body):
        with pytest.raises(ModelError, match=r"gave '.*weight' a second time.*copy.deepcopy"):
            job_of(data, tmp_path, own_student=make)


def test_images_of_validation_and_test_are_tried_beforehand(tmp_path: Path) -> None:
    rows = [(torch.rand(1, 8, 8), row % 2) for row in range(40)]

    def prepared(eval_transform: Callable[[Tensor], Tensor]) -> Job:
        keys = {"data": "list", "student": "convnet-4-4", "method": "plain", "epochs": 1}
        given = Objects(
            data=rows, student=Net, transform=lambda x: x, eval_transform=eval_transform
        )
        return prepare(make_recipe({**keys, "data": {"source": "list"}}), tmp_path, objects=given)

    assert prepared(lambda x: x * 2).data.image_shape == (1, 8, 8)
    with pytest.raises(DataError, match=r"images of validation are \[1, 4, 8\], those of training"):
        prepared(lambda x: x[:, :4])
    with pytest.raises(DataError, match=r"the transform gave a torch\.uint8"):
        prepared(lambda x: x.to(torch.uint8))
