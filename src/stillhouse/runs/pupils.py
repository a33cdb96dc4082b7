"""Pupils: a run as each of its students sees it, on the data or on a transfer set."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from torch import nn

from stillhouse.records.run import Serving
from stillhouse.runs.teaching import Lessons
from stillhouse.runs.transfer import make_transfer

if TYPE_CHECKING:
    from stillhouse.runs.distill import Distillation


class Pupils:
    """The job and the lessons of each student; one of both for all where they share their data."""

    def __init__(self, job: "Distillation") -> None:
        self.job = job
        self._known: dict[int, tuple[Distillation, Lessons]] = {}

    def of(self, teacher: nn.Module | None, seed: int) -> "tuple[Distillation, Lessons]":
        """What the student of this seed is trained in; makes its transfer set if there is one."""
        recipe = self.job.recipe
        key = seed if recipe.each_student_its_data else recipe.seeds[0]
        if key not in self._known:
            job = self.job
            if recipe.transfer is not None and teacher is not None:
                made = job.transferred[key] = make_transfer(job, teacher, key)
                job = replace(job, feeds=made.feeds, likenesses={})
            self._known[key] = job, Lessons(job)
        return self._known[key]

    def served(self) -> Serving | None:
        """How the teachers served, all together."""
        served: Sequence[Serving] = [
            each for _, lessons in self._known.values() for each in lessons.served()
        ]
        if not served:
            return None
        first = served[0]
        return Serving(
            cached=any(each.cached for each in served),
            why=first.why,
            views=first.views,
            bytes=sum(each.bytes for each in served),
            seconds=sum(each.seconds for each in served),
            students=sum(each.students for each in served),
        )
