"""What of a recipe stands against caching its teacher."""

from stillhouse.cache import Need
from stillhouse.engine.signals import LOGITS
from stillhouse.errors import nearest
from stillhouse.recipes.schema import CacheSection
from stillhouse.runs.feeds import Feeds


def image_problems(feeds: Feeds) -> list[str]:
    """Why what a student sees cannot be cached; empty when it can."""
    found = []
    if feeds.section.views == "live":
        found.append(
            "unbounded views cannot be cached; set data.views to a number, or to auto for as "
            "many as there are epochs"
        )
    if not feeds.repeatable():
        found.append(
            "an image is not the same when it is read twice under one seed: draw from torch, "
            "numpy.random or random, which are seeded for each view"
        )
    return found


def storage_problems(section: CacheSection, need: Need) -> list[str]:
    """Why the signals that are read cannot be stored as the section asks; empty when they can."""
    named = section.dtype if isinstance(section.dtype, dict) else {}
    found = [
        f"dtype: the method does not read '{part}' of the teacher; {nearest(part, need.parts)}"
        for part in named
        if part not in need.parts
    ]
    if section.top is not None and LOGITS not in need.parts:
        read = ", ".join(need.parts)
        found.append(f"top is for logits, and the method reads only {read}; leave top out")
    wrong = [section.storage(part).problem(shape) for part, shape in need.parts.items()]
    return found + [problem for problem in wrong if problem]
