"""Files of torch.save, read without running anything of theirs."""

import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import torch

from stillhouse.errors import WeightsError
from stillhouse.models.weight_files.content import STATE_DICT
from stillhouse.models.weight_files.harmless import harmless

DEFAULT_PROTOCOL = 2
"""Of torch.save; the safe reader of torch knows no other."""

OF_ALL = ("torch.", "collections.", "builtins.", "__builtin__.", "copyreg.", "copy_reg.")
"""Modules that pickles of any model name."""

LEGACY_PICKLES = 4
"""Of a file in torch's old format: magic number, version, system, and what was saved."""


def read_pickled(file: Path) -> object:
    """What a file of torch.save holds; tensors are on the CPU.

    Raises:
        WeightsError: it holds code or classes that are not harmless, or is damaged.
    """
    try:
        # The errors below say what matters.
        with (
            warnings.catch_warnings(action="ignore"),
            torch.serialization.safe_globals(list(harmless())),
            file.open("rb") as opened,  # of a path torch asks the suffix
        ):
            return torch.load(opened, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as fault:
        raise WeightsError(_refusal(file, str(fault))) from fault
    except MemoryError:  # the file may be whole
        raise
    except Exception as fault:  # a damaged file can make the reader raise anything
        raise WeightsError(damaged(file, fault)) from fault


def damaged(file: Path, fault: Exception) -> str:
    """The sentence about a file that cannot be read."""
    reason = str(fault).partition("\n")[0].partition(". ")[0][:200]
    return (
        f"weights file '{file}' is truncated or damaged ({type(fault).__name__}: {reason}); "
        "copy or save it again"
    )


def _refusal(file: Path, said: str) -> str:
    named = re.search(r"GLOBAL (\S+)|but got <class '(\S+)'>", said)
    found, protocol = _look(file)
    where = f"weights file '{file}'"
    layers = [name for name in found if name.startswith("torch.nn.modules.")]
    if layers:
        plain = {name for _, name in harmless()}
        whole = next((n for n in found if n not in plain and not n.startswith(OF_ALL)), layers[0])
        return (
            f"{where} holds a whole pickled model ({whole}), which could run code and is never "
            f"loaded; where it was made, save its weights alone: {STATE_DICT}"
        )
    if named is not None:
        return (
            f"{where} holds pickled objects that could run code and are never loaded: it names "
            f"{named[1] or named[2]}; where it was made, save the weights alone: {STATE_DICT}"
        )
    if protocol is not None and protocol != DEFAULT_PROTOCOL:
        return (
            f"{where} was written with pickle protocol {protocol}, which the safe reader does not "
            f"know; write it again without pickle_protocol: {STATE_DICT}"
        )
    if "must be imported" in said or "Can only" in said or "unrecognized function" in said:
        return (
            f"{where} holds pickled objects of a kind that is never loaded "
            f"({said.rpartition('error: ')[2].partition('. ')[0][:200]}); save the weights alone: "
            f"{STATE_DICT}"
        )
    return damaged(file, pickle.UnpicklingError(said.rpartition("error: ")[2]))


def _look(file: Path) -> tuple[Sequence[str], int | None]:
    """Names that a pickle calls for, in its order, and its protocol; nothing is run."""
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                inner = next(name for name in archive.namelist() if name.endswith("data.pkl"))
                with archive.open(inner) as opened:
                    return _names(opened, 1)
        with file.open("rb") as opened:
            return _names(opened, LEGACY_PICKLES)
    except (OSError, StopIteration, zipfile.BadZipFile):
        return [], None


def _names(opened: IO[bytes], pickles: int) -> tuple[list[str], int | None]:
    found: list[str] = []
    protocol = None
    words: list[str] = []
    for name, value in _operations(opened, pickles):
        if name == "PROTO":
            protocol = int(value) if isinstance(value, int) else None
        elif name == "GLOBAL":
            found.append(str(value).replace(" ", "."))
        elif name == "STACK_GLOBAL":
            found.append(".".join(words[-2:]))
        elif isinstance(value, str):
            words.append(value)
    return found, protocol


def _operations(opened: IO[bytes], pickles: int) -> Iterator[tuple[str, object]]:
    try:
        for _ in range(pickles):
            for operation, value, _ in pickletools.genops(opened):
                yield operation.name, value
    except ValueError:  # it ends too early: what was named so far is known
        return
