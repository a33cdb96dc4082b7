"""products.json: the files that a run hands over, with their checksums."""

from pathlib import Path

from stillhouse.errors import RunError
from stillhouse.records.checked import missing_files
from stillhouse.records.schema import RUN_AGAIN, Record, RecordFile

PRODUCTS = "products.json"


class Product(Record):
    """A file that the run hands over."""

    name: str
    file: str
    bytes: int
    sha256: str
    what: str


class ProductList(RecordFile):
    """products.json: what the run hands over."""

    products: tuple[Product, ...]


def check_products(directory: Path) -> list[str]:
    """Compare the products of a run with their checksums; gives the names that are not there.

    Raises:
        RunError: one was changed, or their list was.
    """
    listed = ProductList.read(directory / PRODUCTS).products
    checksums = {product.file: product.sha256 for product in listed}
    return missing_files(directory, checksums, RunError, RUN_AGAIN)
