"""A teacher cache on a real S3 server (moto's): whatever fails on the way, the bits are the same.

The cases are those of `benchmarks/faults/object_store.py`, which writes their table.
"""

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.ecosystem

FAULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "faults"

if not all(map(find_spec, ("moto", "s3fs", "flask_cors"))):
    pytest.skip("moto and s3fs are not installed", allow_module_level=True)

sys.path.insert(0, str(FAULTS))

import object_store  # noqa: E402
from faulty_store import FaultyStore  # noqa: E402


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object_store.Bench]:
    with FaultyStore() as store:
        yield object_store.Bench(store, tmp_path_factory.mktemp("copies"))


@pytest.mark.parametrize("fault", object_store.CASES)
def test_the_bits_are_the_same_whatever_fails(fault: str, bench: object_store.Bench) -> None:
    happened, equal = object_store.CASES[fault](bench)
    assert equal, happened
    assert " 0 requests failed" not in f" {happened}"


def test_what_happened_is_what_is_told(bench: object_store.Bench) -> None:
    told, _ = object_store.CASES["a damaged shard"](bench)
    assert "refused by name" in told
    told, _ = object_store.CASES["a writer killed between shards and manifest"](bench)
    assert "8 shards and 0 manifests, refused to readers" in told
    assert "wrote 0 shards more" in told
    told, _ = object_store.CASES["eight puts of one shard at once"](bench)
    assert told == "1 object; 8 ended well"
