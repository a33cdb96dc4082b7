"""At a limit of its settings a method is another one: the students end with the same weights."""

from collections.abc import Callable

import pytest
from by_hand import same, trained
from tiny import tiny_net
from torch import nn

from stillhouse import methods
from stillhouse.data.batches import Batches
from stillhouse.engine.stage import Stage

Build = Callable[[nn.Module, nn.Module], Stage]


def plain(student: nn.Module, _teacher: nn.Module) -> Stage:
    return methods.plain(student)


def of(name: str, **settings: object) -> Build:
    """A method at these settings, of a student and a teacher."""
    method = methods.find_method(name)

    def build(student: nn.Module, teacher: nn.Module) -> Stage:
        return method.build(
            *([student, teacher] if method.needs_teacher else [student]), **settings
        )

    return build


LIMITS: dict[str, tuple[Build, Build, tuple[float, float]]] = {
    "kd without its term": (of("kd", weight=0.0, label_weight=1.0), plain, (0.0, 0.0)),
    "logits_mse without its term": (
        of("logits_mse", weight=0.0, label_weight=1.0), plain, (0.0, 0.0)
    ),
    "dkd without its parts": (of("dkd", alpha=0.0, beta=0.0), plain, (1e-8, 1e-7)),
    "dkd that never warms up": (of("dkd", warmup=1e30), plain, (1e-8, 1e-7)),
    "rkd without relations": (
        of("rkd", distance_weight=0.0, angle_weight=0.0), plain, (1e-8, 1e-7)
    ),
    "sp without its term": (of("sp", weight=0.0), plain, (1e-8, 1e-7)),
    "projector_logsum without distance and KL": (
        of("projector_logsum", weight=0.0, kd_weight=0.0), plain, (1e-8, 1e-7)
    ),
    "vkd without distance and KL": (of("vkd", weight=0.0, kd_weight=0.0), plain, (1e-8, 1e-7)),
    "tf_kd_reg at alpha 0": (of("tf_kd_reg", form="code", alpha=0.0), plain, (1e-8, 1e-7)),
    "tf_kd_reg of the paper at alpha 0": (
        of("tf_kd_reg", form="paper", alpha=0.0), plain, (1e-8, 1e-7)
    ),
    "label_smoothing of nothing": (of("label_smoothing", smoothing=0.0), plain, (1e-6, 1e-4)),
    "annealing_kd without a first stage": (of("annealing_kd", first=0.0), plain, (1e-6, 1e-6)),
    "annealing_kd in one step to the end": (
        of("annealing_kd", first=1.0, steps=1), of("logits_mse"), (1e-6, 1e-6)
    ),
    "embedding_kd without its distance": (
        of("embedding_kd", weight=0.0), of("kd", weight=1.0, label_weight=1.0), (1e-6, 1e-6)
    ),
    "th_kd at alpha 0": (
        of("th_kd", form="code", alpha=0.0), of("kd", weight=1.52, label_weight=1.0), (1e-6, 1e-6)
    ),
    "th_kd of the paper at alpha 0": (
        of("th_kd", form="paper", alpha=0.0), of("kd", weight=1.52, label_weight=1.0), (1e-6, 1e-6)
    ),
}  # fmt: skip
"""A method at a limit, what it is there, and how near: absolute and relative."""


@pytest.mark.parametrize("limit", LIMITS)
def test_at_a_limit_it_is_another_method(limit: str, train: Batches) -> None:
    """With dropout: not even the random numbers differ."""
    one, other, tolerance = LIMITS[limit]
    mine, theirs = (tiny_net(4, 1, dropout=0.3) for _ in range(2))
    teacher = tiny_net(4 if limit.startswith(("th_kd", "embedding_kd")) else 6, 2)
    trained(one(mine, teacher), train)
    trained(other(theirs, teacher), train)
    same(mine, theirs, *tolerance)
