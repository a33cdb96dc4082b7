"""Stages that do not fit together, each with what must be said about it."""

from collections.abc import Callable
from pathlib import Path

import torch
from tiny import TinyNet, tiny_net
from torch import Tensor, nn

from stillhouse.cache import LOSSLESS, Replay, TeacherCache
from stillhouse.cache.shards import Shards
from stillhouse.engine.nodes import Bridge, Ema, Node, Role
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.functional import cross_entropy, kl

LABEL = Term("label", cross_entropy, ["student.logits", "batch.label"])
KD = Term("kd", kl, ["student.logits", "teacher.logits"])
DATA = {"batch.image": torch.randn(4, 3, 8, 8), "batch.label": torch.arange(4) % 3}


def stage(
    *more: Node,
    terms: list[Term] | None = None,
    learns: str | list[str] = "student",
    **rest: object,
) -> Stage:
    """A student that learns labels, and whatever is wrong beside it."""
    nodes = [Role("student", tiny_net(seed=1)), *more]
    if not any(node.name == "teacher" for node in more):
        nodes.append(Role("teacher", tiny_net(seed=2)))
    return Stage("s", nodes, [Update(learns, terms or [LABEL])], **rest)


def term(reads: list[str], name: str = "extra", **options: object) -> Term:
    return Term(name, lambda first, *_: first.flatten(1).mean(1), reads, **options)


FEATURE = term(["student.conv", "teacher.embedding"])
IDLE = term(["student.fc", "teacher.idle"])
FIRST = term(["student.fc", "teacher.1"])


def cycle() -> Stage:
    first = Bridge("first", lambda x: x, "third")
    others = [Bridge("second", lambda x: x, "first"), Bridge("third", lambda x: x, "second")]
    return stage(first, *others, terms=[LABEL, term(["student.logits", "second"])])


def shared() -> Stage:
    made = stage()
    teacher = made.role("teacher").module
    teacher.fc = made.role("student").module.fc
    return Stage("s", made.nodes, [Update("student", [KD])])


def replay() -> Replay:
    shards = Shards(Path(), LOSSLESS, (3,), rows=4, per_shard=4)
    return Replay("teacher", TeacherCache(Path(), 1, {"logits": shards}))


def ema(stage: Stage) -> Stage:
    mean = Ema("mean", stage.role("student"))
    terms = [Term("kd", kl, ["mean.logits", "student.logits"])]
    return Stage("s", [*stage.nodes, mean], [Update(["mean"], terms)])


class TwoHeads(TinyNet):
    """The last Linear is an auxiliary head."""

    def __init__(self, classes: int) -> None:
        super().__init__(4, 0.0)
        self.auxiliary = nn.Linear(4, classes)

    def forward(self, image: Tensor) -> Tensor:
        pooled = self.relu(self.bn(self.conv(image))).mean((2, 3))
        return self.fc(pooled) + 0 * self.auxiliary(pooled).sum()


class Renamed(nn.Module):
    """Gives a mapping of several without 'logits'."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.idle = nn.Linear(192, 3), nn.Linear(1, 1)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        scores = self.fc(image.flatten(1))
        return {"scores": scores, "more": scores + 1}


class Grey(TinyNet):
    """A teacher of images with one channel."""

    def __init__(self) -> None:
        super().__init__(4, 0.0)
        self.conv = nn.Conv2d(1, 4, 3)


def rectified() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 3), nn.ReLU(inplace=True))


def wide(classes: int) -> nn.Module:
    net = tiny_net(seed=2)
    net.fc = nn.Linear(4, classes)
    return net


DECLARED: dict[str, tuple[Callable[[], Stage], str]] = {
    "unknown node": (
        lambda: stage(terms=[LABEL, term(["student.logits", "techer.logits"])]),
        "term 'extra' reads 'techer.logits', but there is no node 'techer'; nearest: teacher",
    ),
    "misspelt tap": (
        lambda: stage(terms=[LABEL, term(["student.cnov", "teacher.logits"])]),
        "term 'extra' reads 'student.cnov': student has no module 'cnov'; nearest: conv",
    ),
    "misspelt input tap": (
        lambda: stage(terms=[LABEL, term(["student.logits", "teacher.fcc:in"])]),
        "teacher has no module 'fcc'; nearest: fc",
    ),
    "role without a part": (
        lambda: stage(terms=[LABEL, term(["student"])]),
        "term 'extra' reads 'student': 'student' is a role; say which signal of it",
    ),
    "misspelt tap of a bridge": (
        lambda: stage(Bridge("p", nn.Linear(4, 4), "student.embeding")),
        "node 'p' reads 'student.embeding': student has no module 'embeding'",
    ),
    "part of a bridge": (
        lambda: stage(Bridge("p", lambda x: x, "student.logits"), terms=[LABEL, term(["p.out"])]),
        "'p' is a bridge and gives one signal, 'p', not 'out'",
    ),
    "cycle": (cycle, "nodes read each other: second -> first -> third -> second"),
    "two nodes of one name": (
        lambda: stage(Role("student", tiny_net())),
        "two nodes are called 'student'",
    ),
    "two terms of one name": (
        lambda: stage(terms=[LABEL, LABEL]),
        "two terms are called 'label'",
    ),
    "learner that no term reaches": (
        lambda: stage(Bridge("p", nn.Linear(4, 4), "student.embedding"), learns=["student", "p"]),
        "update trains 'p', but no term of it depends on 'p'",
    ),
    "learner only as a target": (
        lambda: stage(learns=["student", "teacher"], terms=[KD]),
        "update trains 'teacher', but no term of it depends on 'teacher'",
    ),
    "term that teaches nobody": (
        lambda: stage(terms=[LABEL, Term("kd", kl, ["teacher.logits", "student.logits"])]),
        "term 'kd' teaches nobody: 'teacher.logits' depends on none of student "
        "(the first signal learns, the rest are targets)",
    ),
    "learner that is no node": (
        lambda: stage(learns="studnet"),
        "update trains 'studnet', which is no node; nearest: student",
    ),
    "moving average that should learn": (
        lambda: ema(stage()),
        "update trains 'mean', but a Ema never learns",
    ),
    "teacher cache that should learn": (
        lambda: stage(replay(), learns=["student", "teacher"], terms=[LABEL, KD]),
        "update trains 'teacher', but a Replay never learns",
    ),
    "part that was not cached": (
        lambda: stage(replay(), terms=[LABEL, term(["student.conv", "teacher.conv"])]),
        "'conv' of 'teacher' was not cached; there is: logits",
    ),
    "unknown batch column": (
        lambda: stage(terms=[Term("label", cross_entropy, ["student.logits", "batch.lable"])]),
        "term 'label' reads 'batch.lable'; nearest: batch.label",
    ),
    "measure of no node": (
        lambda: stage(measures={"own": "studen.logits"}),
        "measure 'own' reads 'studen.logits', but there is no node 'studen'; nearest: student",
    ),
    "measure of no module": (
        lambda: stage(measures={"own": "student.cf"}),
        "measure 'own' reads 'student.cf': student has no module 'cf'; nearest: fc",
    ),
    "product that is no node": (
        lambda: stage(keeps="studnt"),
        "keeps 'studnt', which is no node; nearest: student",
    ),
    "term without signals": (lambda: stage(terms=[LABEL, term([])]), "'extra' reads no signal"),
    "update that never plays": (
        lambda: Stage("s", stage().nodes, [Update("student", [LABEL], every=0)]),
        "update plays every 0 steps; it must be at least 1",
    ),
    "no update": (
        lambda: Stage("s", stage().nodes, []),
        "it has no update, so nothing would learn",
    ),
    "moving average of a stranger": (
        lambda: stage(Ema("mean", Role("student", tiny_net()))),
        "'mean' follows a 'student' that is not in this stage",
    ),
}

REHEARSED: dict[str, tuple[Callable[[], Stage], str]] = {
    "classes": (
        lambda: stage(Role("teacher", wide(100)), terms=[KD]),
        "term 'kd' does not fit student.logits [4, 3], teacher.logits [4, 100]: ",
    ),
    "channels": (
        lambda: stage(Role("teacher", Grey()), terms=[LABEL, KD]),
        "node 'teacher' fails on batch.image [4, 3, 8, 8]: ",
    ),
    "shared parameters": (
        shared,
        "'teacher' is frozen but shares parameters with 'student', which learns",
    ),
    "head of another width": (
        lambda: stage(Role("teacher", TwoHeads(7)), terms=[LABEL, FEATURE]),
        "'teacher.auxiliary' is taken for the head, but its output is not the logits",
    ),
    "head of the same width": (
        lambda: stage(Role("teacher", TwoHeads(3)), terms=[LABEL, FEATURE]),
        "its output is not the logits; name the head (head: PATH)",
    ),
    "module that does not run": (
        lambda: stage(Role("teacher", Renamed()), terms=[LABEL, IDLE]),
        "teacher: module 'idle' did not run in this step (tap 'idle')",
    ),
    "bridge of another width": (
        lambda: stage(Bridge("p", nn.Linear(9, 3), "student.embedding"), terms=[LABEL, term(["p"])],
                      learns=["student", "p"]),
        "node 'p' fails on student.embedding [4, 4]: ",
    ),
    "output without logits": (
        lambda: stage(Role("teacher", Renamed()), terms=[LABEL, KD]),
        "teacher: it gives several outputs and none is called 'logits' (scores [4, 3], more",
    ),
    "measure without logits": (
        lambda: stage(Role("teacher", Renamed()), measures={"t": "teacher.logits"}),
        "teacher: it gives several outputs and none is called 'logits' (scores [4, 3], more",
    ),
    "measure that is no logits": (
        lambda: stage(measures={"own": "student.conv"}),
        "measure 'own' scores logits [B, classes], but 'student.conv' is [4, 4, 8, 8]",
    ),
    "a weight that is no number": (
        lambda: stage(terms=[LABEL, Term("kd", kl, KD.reads, weight=float("nan"))]),
        "the weight of term 'kd' is nan; give a finite number",
    ),
    "what is kept learns nothing": (
        lambda: stage(terms=[Term("label", cross_entropy, ["teacher.logits", "batch.label"])],
                      learns="teacher"),
        "no update trains 'student', whose weights are kept (trained: teacher); give it an Update",
    ),
    "not finite": (
        lambda: stage(terms=[LABEL, Term("bad", lambda x: x.mean(1) / 0, ["student.logits"])]),
        "term 'bad' is ",
    ),
    "in place": (
        lambda: stage(Role("teacher", rectified()), terms=[LABEL, FIRST]),
        "teacher: tap '1' is changed in place",
    ),
}  # fmt: skip
