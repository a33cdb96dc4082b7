"""What is said of a teacher that hardly beats guessing, whichever way its metric goes."""

from types import SimpleNamespace

import pytest

from stillhouse.runs.training.teacher_findings import guessing_caution
from stillhouse.tasks import CLASSIFICATION, Verification


@pytest.mark.parametrize(
    ("task", "classes", "value", "words"),
    [
        (CLASSIFICATION, 10, 0.19, "guessing among 10 classes"),
        (CLASSIFICATION, 10, 0.21, None),
        (CLASSIFICATION, 2, 0.9, None),  # half of it is guessed, and yet it is a good one
        (CLASSIFICATION, 2, 0.55, "guessing among 2 classes"),
        (Verification(), 6, 0.16, None),  # an error: less is better
        (Verification(), 6, 0.45, "guessing whether two images are of one person"),
        (Verification(metric="auc"), 6, 0.95, None),
        (Verification(metric="auc"), 6, 0.55, "guessing whether two images are of one person"),
        (Verification(metric="tar@0.01"), 6, 0.05, None),
        (Verification(metric="tar@0.01"), 6, 0.012, "guessing whether"),
    ],
)
def test_a_teacher_that_guesses_is_told_in_the_words_of_its_task(task, classes, value, words):
    job = SimpleNamespace(task=task, data=SimpleNamespace(classes=classes))
    said = guessing_caution(job, value)
    assert (said is None) == (words is None), said
    if words:
        assert words in said
        assert ("class order" in said) == (task is CLASSIFICATION)
