"""Weights from files of any maker, into a module: what a file is, what it holds, what fits."""

from stillhouse.models.weight_files.load import LoadedWeights, load_weights

__all__ = ["LoadedWeights", "load_weights"]
