"""exports.json: the files that were made of a student for other programs, and how they answer."""

from pathlib import Path

from stillhouse.records.schema import Record, RecordFile

EXPORTS = "exports.json"


class Exported(Record):
    """A file for other programs.

    Args:
        file: its name.
        bytes: its size when it was written.
        said: what was said of it: its form, and its answers beside the student's.
    """

    file: str
    bytes: int
    said: tuple[str, ...]


class ExportList(RecordFile):
    """exports.json, beside a run: the latest of each name."""

    AGAIN = "delete it; 'stillhouse export' writes it again"

    exports: tuple[Exported, ...] = ()

    @classmethod
    def of(cls, directory: Path) -> "ExportList":
        """What a run has; empty where nothing was exported.

        Raises:
            RunError: the file is damaged or was edited.
        """
        path = directory / EXPORTS
        return cls.read(path) if path.is_file() else cls()

    def with_one(self, one: Exported) -> "ExportList":
        """With a file more, in place of one of the same name.

        >>> first = ExportList().with_one(Exported(file="a.onnx", bytes=1, said=("ONNX",)))
        >>> [each.bytes for each in first.with_one(first.exports[0]).exports]
        [1]
        """
        return ExportList(exports=(*(e for e in self.exports if e.file != one.file), one))
