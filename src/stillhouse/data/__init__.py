"""Data: sources, splits, tables, views and batches."""

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.load import Splits, load
from stillhouse.data.tables import ImageTable, SampleTable, Table

__all__ = ["Augment", "Batches", "ImageTable", "SampleTable", "Splits", "Table", "load"]
