"""Schema: how a record is written, read and refused.

A record is a JSON file that a report or a command reads again. It says ``schema: N``. A file of
another schema, a damaged one and an edited one are errors that name the file: a number is never
missing or changed in silence.
"""

import json
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from stillhouse.errors import RunError, StillhouseError
from stillhouse.records.checked import damaged, read_object, without_checksum, write_checked


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


RUN_AGAIN = (
    "delete it, and the same command makes it again from what was trained, or 'stillhouse report' "
    "shows the rest"
)
"""What to do about a file of a run that cannot be read."""


class RecordFile(Record):
    """A record that is a file of its own."""

    SCHEMA: ClassVar[int] = 1
    """Raised when what stands in the file changes."""
    AGAIN: ClassVar[str] = RUN_AGAIN
    """What to do about a file that cannot be read; ``{directory}`` is where it is."""
    ERROR: ClassVar[type[StillhouseError]] = RunError

    def plain(self) -> dict[str, Any]:
        """What is written, as plain data."""
        return {"schema": self.SCHEMA, **super().plain()}

    def write(self, path: Path) -> None:
        """Write the file whole, with its checksum."""
        write_checked(path, self.plain())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file.

        Raises:
            StillhouseError: (of ``ERROR``) it cannot be read, is damaged, was edited, or is of
                another schema.
        """
        again = cls.AGAIN.format(directory=path.parent)
        found = read_object(path, cls.ERROR, again)
        if "schema" not in found:
            why = "it says no schema, so it was edited or is of an old version"
            raise damaged(path, why, cls.ERROR, again)
        schema = found["schema"]
        if type(schema) is not int or schema != cls.SCHEMA:
            raise cls.ERROR(
                f"{path} is of schema {json.dumps(schema)} and this version reads {cls.SCHEMA}; "
                f"{again}, or use the version that wrote it"
            )
        rest = without_checksum(path, found, cls.ERROR, again)
        del rest["schema"]
        try:
            return cls.checked(rest)
        except ValidationError as error:
            raise damaged(path, first_problem(error), cls.ERROR, again) from None


def first_problem(error: ValidationError) -> str:
    """The first field that does not fit, and why, in a few words."""
    found = error.errors(include_url=False, include_input=False)
    # Of a field of several kinds each kind objects; a sentence of ours says more than another kind.
    first = next((each for each in found if each["type"] == "value_error"), found[0])
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])
