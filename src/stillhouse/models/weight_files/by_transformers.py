"""Names of the Hugging Face hub, which transformers itself turns into those of its models."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from torch import nn

from stillhouse.models.weight_files.expected import plain_name
from stillhouse.models.weight_files.states import HeldState


def renamed_by_transformers(state: HeldState, module: nn.Module) -> HeldState | None:
    """A state dict of a file as a model of transformers names it; None for any other model.

    Its files keep the names of old, which `from_pretrained` knows and `load_state_dict` does not.
    So the class of the model reads them, and what it missed is left out.
    """
    package: Any = sys.modules.get("transformers")
    if package is None or not isinstance(module, package.PreTrainedModel):
        return None
    given = {plain_name(name): value for name, value in state.values.items()}
    reader: Any = type(module)
    try:
        with _quiet(package):
            made, found = reader.from_pretrained(
                None,
                config=module.config,
                state_dict=dict(given),
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
    except Exception:  # it says what is wrong in its own words; ours name the file
        return None
    if found["unexpected_keys"]:
        return None
    unlike = {name for name, *_ in found["mismatched_keys"]}
    values = {
        name: given.get(name, value) if name in unlike else value
        for name, value in made.state_dict().items()
        if name not in found["missing_keys"]
    }
    return replace(state, values=values, versions={})


@contextmanager
def _quiet(package: Any) -> Iterator[None]:
    """Without the bars and tables of transformers: we say ourselves what was read."""
    logs = package.utils.logging
    before, bars = logs.get_verbosity(), logs.is_progress_bar_enabled()
    logs.set_verbosity(logs.CRITICAL)
    logs.disable_progress_bar()
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logs.set_verbosity(before)
        if bars:
            logs.enable_progress_bar()
