"""Execute the notebooks of this folder anew, each in an empty directory, and keep their outputs.

    python docs/notebooks/execute.py            # or: ... first-distillation.ipynb

It needs the packages of the extra 'ecosystem' (nbclient, ipykernel, matplotlib).
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent


def executed(notebook: Path, directory: Path) -> Any:
    """A notebook after all its cells, in a directory; what it holds of times is left out."""
    book = nbformat.read(notebook, as_version=4)
    client = NotebookClient(book, timeout=300, resources={"metadata": {"path": str(directory)}})
    client.execute()
    for cell in book.cells:
        cell.metadata.pop("execution", None)
    book.metadata.pop("language_info", None)  # the version of whoever executed it
    return book


def main(names: list[str]) -> None:
    """Execute those that are named, or all."""
    for path in [FOLDER / name for name in names] or sorted(FOLDER.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as directory:
            nbformat.write(executed(path, Path(directory)), path)
        print(path.name)


if __name__ == "__main__":
    main(sys.argv[1:])
