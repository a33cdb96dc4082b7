"""What is under a path of weights: one file, shards with an index, or a folder with either."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from stillhouse.errors import WeightsError
from stillhouse.faults import fault_of
from stillhouse.models.weight_files.content import (
    INDEX,
    SAFETENSORS,
    SHARDS,
    Content,
    content_of,
)
from stillhouse.models.weight_files.pickled import damaged, read_pickled
from stillhouse.records.places import located
from stillhouse.records.tensors import check_tensors, load_state

IN_FOLDER = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "diffusion_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
"""What a folder of the Hugging Face layout calls its weights; the first that is there is read, as
transformers does, since all of one folder are the same weights."""

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
"""Which files of folders within a folder are named in a message."""
REMOTE = (
    (re.compile(r"[a-zA-Z][\w+.-]*://"), "an address"),
    (re.compile(r"hf(-hub)?:"), "a name of the Hugging Face hub"),
)
"""What is no path, though it is written where one stands."""


def read_weights(file: Path, *, shard: bool = False) -> object:
    """What the weights file at a path holds, a folder's file included.

    Args:
        file: or folder.
        shard: an index names it, so it is none itself.

    Raises:
        WeightsError: there is none, or it is of another kind, damaged, or holds code.
    """
    file = weights_in(file)
    content = looked_at(file)
    if content.kind is None:
        raise WeightsError(f"weights file '{file}' {content.what}; {content.remedy}")
    if content.kind == INDEX:
        if shard:
            raise WeightsError(
                f"weights shard '{file}' is itself an index; copy the shards, from where it came"
            )
        return _shards(file)
    if content.kind == SAFETENSORS:
        check_tensors(file, WeightsError, "make or copy it again")
        try:
            return load_state(file)
        except MemoryError:  # the file may be whole
            raise
        except Exception as fault:  # a damaged file can make the reader raise anything
            raise WeightsError(damaged(file, fault)) from fault
    return read_pickled(file)


def weights_in(given: str | os.PathLike[str]) -> Path:
    """The file itself, or the one that a folder holds; ``~`` is one's home.

    Raises:
        WeightsError: nothing is there, it may not be looked at, or a folder holds none or several.
    """
    path = located(given)
    remote = next((what for start, what in REMOTE if start.match(os.fspath(given))), None)
    if remote is not None:
        raise WeightsError(
            f"weights: '{given}' is {remote}, and weights are read from files; download them, and "
            "give the path"
        )
    try:
        if path.is_file():
            return path
        if path.is_dir():
            return _in_folder(path)
        there = path.exists()
    except OSError as fault:
        raise WeightsError(f"weights: {fault_of(fault)}") from fault
    if there:
        raise WeightsError(f"weights file '{path}' is no ordinary file; give one")
    if path.is_symlink():
        raise WeightsError(
            f"weights file '{path}' is a link to '{os.readlink(path)}', where nothing is; copy the "
            "file that it stood for"
        )
    raise WeightsError(f"weights file '{path}' does not exist{_beside(path)}")


def _in_folder(path: Path) -> Path:
    known = next((path / name for name in IN_FOLDER if (path / name).is_file()), None)
    if known is not None:
        return known
    inside = sorted(each for each in path.iterdir() if each.is_file() and each.name[0] != ".")
    found = [each for each in inside if looked_at(each).kind is not None]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(each.name for each in (found or inside)[:8])
    what = f"{len(found)} weights files" if found else "no weights file"
    raise WeightsError(
        f"weights: folder '{path}' holds {what}{f' ({listed})' if listed else ''}; "
        f"{_remedy(path, inside, bool(found))}"
    )


def _remedy(path: Path, inside: Sequence[Path], several: bool) -> str:
    """What to give in place of a folder: a file of it, or what lies deeper."""
    if any(each.suffix == ".distcp" for each in inside):
        to = "python -m torch.distributed.checkpoint.format_utils dcp_to_torch"
        return f"it is a distributed checkpoint; make one file of it: {to} {path} weights.pt"
    deeper = [*path.glob("*/*"), *path.glob("*/*/*")]  # checkpoint-500/, snapshots/REVISION/
    files = sorted(each for each in deeper if each.name in IN_FOLDER or each.suffix in SUFFIXES)
    if several or not files:
        return "name the file"
    listed = ", ".join(str(each.relative_to(path)) for each in files[:3])
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return f"below it there is {listed}{more}: name one"


def looked_at(file: Path) -> Content:
    """What a file is.

    Raises:
        WeightsError: it cannot be opened.
    """
    try:
        return content_of(file)
    except OSError as fault:
        said = fault.strerror or type(fault).__name__
        raise WeightsError(f"weights file '{file}' cannot be opened: {said}") from fault


def _beside(path: Path) -> str:
    """Files that are there under another ending."""
    if not path.parent.is_dir():
        return f"; there is no folder '{path.parent}' either"
    found = sorted(each.name for each in path.parent.glob(f"{_literal(path.stem)}*"))[:3]
    return f"; beside it is {', '.join(found)}" if found else ""


def _literal(stem: str) -> str:
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in stem)


def _shards(index: Path) -> Mapping[str, object]:
    """The tensors of an index, each from the shard that it names."""
    named = json.loads(index.read_text("utf-8"))[SHARDS]
    if not isinstance(named, dict) or not named:
        raise WeightsError(f"weights index '{index}' lists no tensors; copy it again")
    shards = sorted({str(shard) for shard in named.values()})
    outside = [shard for shard in shards if Path(shard).name != shard]
    if outside:
        raise WeightsError(
            f"weights index '{index}' names files outside its folder ({outside[0]}), which are "
            "never read; put the shards beside it"
        )
    absent = [shard for shard in shards if not (index.parent / shard).is_file()]
    if absent:
        raise WeightsError(
            f"weights index '{index}': {len(absent)} of {len(shards)} shards are missing "
            f"({', '.join(absent[:3])}); copy them beside it"
        )
    held: dict[str, object] = {}
    for shard in shards:
        part = read_weights(index.parent / shard, shard=True)
        if not isinstance(part, Mapping):
            raise WeightsError(f"weights shard '{index.parent / shard}' holds no state dict")
        held |= {
            name: part[name] for name, place in named.items() if place == shard and name in part
        }
    lost = [name for name in named if name not in held]
    if lost:
        raise WeightsError(
            f"weights index '{index}': {len(lost)} tensors are not in the shards that it names "
            f"({', '.join(lost[:3])}); copy index and shards again, from one place"
        )
    return held
