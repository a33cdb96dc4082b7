"""Data: sources, splits, tables, views and batches."""

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.load import Splits, load
from stillhouse.data.tables import FloatTable, ImageTable, SampleTable, Table

__all__ = [
    "Augment",
    "Batches",
    "FloatTable",
    "ImageTable",
    "SampleTable",
    "Splits",
    "Table",
    "load",
]
