"""The small networks of the distillation literature, and those of other packages, by name."""

from stillhouse.models.adapters import comes_trained
from stillhouse.models.catalogue import MODEL_FAMILIES, build_model, model_names
from stillhouse.models.ensemble import Ensemble
from stillhouse.models.family import Family
from stillhouse.models.weight_files import LoadedWeights, load_weights
from stillhouse.models.weights import ModelSize, describe
from stillhouse.records.fingerprint import weights_fingerprint

__all__ = [
    "MODEL_FAMILIES",
    "Ensemble",
    "Family",
    "LoadedWeights",
    "ModelSize",
    "build_model",
    "comes_trained",
    "describe",
    "load_weights",
    "model_names",
    "weights_fingerprint",
]
