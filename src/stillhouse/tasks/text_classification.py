"""One class for each text."""

from stillhouse.tasks.classification import Classification
from stillhouse.tasks.task import Task


class TextClassification(Classification):
    """Classification of texts: networks read tokens and a mask of those that are no filling.

    >>> task = TextClassification()
    >>> task.name, task.reads
    ('text_classification', ('input_ids', 'attention_mask'))
    """

    name = "text_classification"
    rows_are = "texts"
    reads = ("input_ids", "attention_mask")
    mixes = False

    @property
    def of_unseen(self) -> Task | None:
        """No classes of texts are held out."""
        return None


TEXT_CLASSIFICATION = TextClassification()


def text_classification() -> TextClassification:
    """Classification of texts, see `TextClassification`."""
    return TEXT_CLASSIFICATION
