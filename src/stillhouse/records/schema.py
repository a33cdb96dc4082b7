"""Schema: how a record is written, read and refused.

A record is a JSON file that a report or a command reads again. It says ``schema: N``. A file of
another schema, a damaged one and an edited one are errors that name the file and the field: a
number is never missing in silence.
"""

import json
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from stillhouse.errors import RunError, StillhouseError
from stillhouse.records.files import write_json


class Record(BaseModel):
    """A part of a record: frozen, of known fields only, without nan and inf.

    A field with a default is written where it says something else, and may be missing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def plain(self) -> dict[str, Any]:
        """What is written, as plain data."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @classmethod
    def checked(cls, found: dict[str, Any]) -> Self:
        """What was read from JSON, each field as it is: "1" is no number.

        Raises:
            ValidationError: a field is missing, unknown or of another kind.
        """
        # A lone surrogate is legal in JSON and in no text: it becomes '?'.
        text = json.dumps(found, ensure_ascii=False).encode("utf-8", errors="replace")
        return cls.model_validate_json(text, strict=True)


RUN_AGAIN = "run the recipe again, or delete the file to report on the rest"
"""What to do about a file of a run that cannot be read."""


class RecordFile(Record):
    """A record that is a file of its own."""

    SCHEMA: ClassVar[int] = 1
    """Raised when what stands in the file changes."""
    AGAIN: ClassVar[str] = RUN_AGAIN
    """What to do about a file that cannot be read."""
    ERROR: ClassVar[type[StillhouseError]] = RunError

    def plain(self) -> dict[str, Any]:
        """What is written, as plain data."""
        return {"schema": self.SCHEMA, **super().plain()}

    def write(self, path: Path) -> None:
        """Write the file whole."""
        write_json(path, self.plain())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file.

        Raises:
            StillhouseError: (of ``ERROR``) it cannot be read, is damaged, was edited into something
                else, or is of another schema.
        """
        found = read_object(path, cls.ERROR, cls.AGAIN)
        if "schema" not in found:
            raise cls._refused(path, "it says no schema, so it was edited or is of an old version")
        schema = found.pop("schema")
        if schema != cls.SCHEMA:
            raise cls.ERROR(
                f"{path} is of schema {schema} and this version reads {cls.SCHEMA}; {cls.AGAIN}, "
                "or use the version that wrote it"
            )
        try:
            return cls.checked(found)
        except ValidationError as error:
            raise cls._refused(path, first_problem(error)) from None

    @classmethod
    def _refused(cls, path: Path, why: str) -> StillhouseError:
        return cls.ERROR(f"{path} is damaged: {why}; {cls.AGAIN}")


def read_object(path: Path, error: type[StillhouseError], again: str) -> dict[str, Any]:
    """The JSON object of a file.

    Raises:
        StillhouseError: (of ``error``) it is no such file; ``again`` says what to do.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as wrong:
        said = f"{path} is damaged: it cannot be read as JSON ({wrong}); {again}"
        raise error(said) from wrong
    if not isinstance(found, dict):
        said = f"{path} is damaged: it holds a JSON {type(found).__name__}, no object; {again}"
        raise error(said)
    return found


def first_problem(error: ValidationError) -> str:
    """The first field that does not fit, and why, in a few words."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])
