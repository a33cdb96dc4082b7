"""config.json of a student's folder: what it is, how it is built, what it takes and says."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from stillhouse.deploy.preprocessing import Preprocessing
from stillhouse.deploy.sentences import Sentences
from stillhouse.deploy.threshold import AtThreshold
from stillhouse.errors import RunError
from stillhouse.faults import first_line
from stillhouse.records.files import write_text
from stillhouse.records.fingerprint import file_hash
from stillhouse.records.runs_inside import runs_inside
from stillhouse.records.schema import Record, first_problem

CONFIG, WEIGHTS, PROGRAM, CARD, SCRIPT = (
    "config.json", "model.safetensors", "model.pt2", "README.md", "predict.py",
)  # fmt: skip
OURS = "stillhouse"
"""The key of config.json that holds our part; the others are for other libraries."""
FORMAT = 1


class NetworkFacts(Record):
    """How the network is built.

    Args:
        model: its name, or the place of somebody's own code.
        by_name: whether the name alone builds it: not of one that was made out of its teacher,
            rounds, or is somebody's own.
        classes, channels, size: with which it is built; a size is a side, or height and width.
        arguments: for its function.
        parameters: how many there are.
        head_scale: of its classifier where that is a `CosineHead`.
        headless: whether it has no classifier any more: it gives its embedding.
        shared: whether the file holds codebooks and indices in the place of weights.
    """

    model: str
    by_name: bool
    classes: int
    channels: int
    size: int | tuple[int, int]
    arguments: dict[str, Any] = Field({})
    parameters: int
    head_scale: float | None = None
    headless: bool = False
    shared: bool = False


class StudentConfig(Record):
    """Our part of config.json.

    Args:
        format: of this part.
        task: classification, verification.
        classes: names, in the order of the logits.
        output: what the program gives.
        threshold: cosine from which on two embeddings are of one person; None for logits, and
            where no held-out people were there to choose it on.
        at_threshold: on what it was chosen, and how good it is on the test pairs.
        input: what the program takes.
        network: how it is built.
        title: what was distilled into what.
        test: the metric on the test set by its name, and further ones.
        measure: the name of the first of them, with its unit.
        verdict: the sentence on the gain over the control.
        trained_on: name of the data, and rows.
        epoch: whose weights these are.
        created: when.
        versions: of the packages that made it.
        sha256: of the files of the folder.
    """

    format: int = FORMAT
    task: str
    classes: tuple[str, ...]
    output: Literal["logits", "embedding"]
    threshold: float | None = None
    at_threshold: AtThreshold | None = None
    input: Sentences | Preprocessing
    network: NetworkFacts
    title: str
    method: str
    test: dict[str, float] = Field({})
    measure: str = ""
    verdict: str = ""
    trained_on: str = ""
    epoch: str = ""
    created: str = ""
    versions: dict[str, str] = Field({})
    sha256: dict[str, str] = Field({})

    @model_validator(mode="after")
    def _fits(self) -> "StudentConfig":
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("two classes have one name")
        if self.output == "logits" and self.classes and len(self.classes) != self.network.classes:
            given = f"{self.network.classes} logits"
            raise ValueError(
                f"the network gives {given}, and there are {len(self.classes)} classes"
            )
        return self

    def write(self, folder: Path, hub: Mapping[str, Any]) -> None:
        """Write config.json: our part under its key, beside what other libraries read.

        Every field is written, for whoever reads it without us.
        """
        whole = {**hub, OURS: self.model_dump(mode="json")}
        write_text(folder / CONFIG, json.dumps(whole, indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "StudentConfig":
        """Read it, and compare the files of the folder with their checksums.

        Raises:
            RunError: it is not there, is another library's, is damaged, or a file was changed.
        """
        path = folder / CONFIG
        if not folder.is_dir() or not path.is_file():
            inside = runs_inside(folder) or (
                "give the directory of a finished run, or its folder 'student'"
            )
            raise RunError(f"{folder} holds no student: there is no {CONFIG}; {inside}")
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{path} cannot be read ({first_line(error)}); {AGAIN}") from None
        if not isinstance(found, dict) or not isinstance(found.get(OURS), dict):
            raise RunError(f"{path} is not of a student of ours: it has no '{OURS}'; {AGAIN}")
        part = found[OURS]
        if part.get("format") != FORMAT:
            said = f"{path} is of format {part.get('format')!r} and this version reads {FORMAT}"
            raise RunError(f"{said}; use the version that wrote it")
        try:
            config = cls.checked(part)
        except ValidationError as error:
            raise RunError(f"{path} is damaged ({first_problem(error)}); {AGAIN}") from None
        for name, wanted in config.sha256.items():
            file = folder / name
            if Path(name).name != name or not file.is_file():
                raise RunError(f"{file} is missing; {AGAIN}")
            if file_hash(file) != wanted:
                raise RunError(f"{file} was damaged or changed since it was written; {AGAIN}")
        return config


AGAIN = "take the folder anew from its run"
