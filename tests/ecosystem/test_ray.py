"""Recordings and studies on a real Ray cluster: the bytes and the table of one process.

What kills do to them is tried by `benchmarks/many_workers.py`. The commands run in processes of
their own, on one cluster that all tests share.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.ecosystem, pytest.mark.timeout(900)]
"""On a busy machine the commands mostly wait for their imports."""

if not find_spec("ray"):
    pytest.skip("ray is not installed", allow_module_level=True)

SOURCE = Path(__file__).resolve().parents[2] / "src"
CLUSTER = """
import ray, sys
ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", object_store_memory=10**8)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""
RECIPE = """
data: {source: digits, limit: 128, views: 3}
teacher: {model: convnet-8, epochs: 1}
student: convnet-4
epochs: 3
batch: 32
precision: fp32
compile: false
"""
ARMS = """
arms: {kd: {method: kd}, dkd: {method: dkd}}
seeds: 2
against: kd
"""
VARIABLES = {
    "OMP_NUM_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "0123456789abcdef" * 2,  # what who joins must say, as of any cluster with one
}


def environment() -> dict[str, str]:
    paths = [str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, **VARIABLES, "PYTHONPATH": os.pathsep.join(paths)}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster that ends with this process."""
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment(), cwd=tmp_path_factory.mktemp("cluster"),
    ) as head:  # fmt: skip
        told = head.stdout.readline().strip()
        if not told:
            pytest.skip("Ray starts no cluster here: it gives its parts 30 seconds, or lacks room")
        yield told
        head.stdin.close()


def stillhouse(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "stillhouse", *arguments]
    return subprocess.run(call, cwd=folder, env=environment(), capture_output=True, text=True)


def whole(folder: Path) -> dict[str, bytes]:
    """The files of a recording or of trainings that have the same bytes whoever made them."""
    kinds = ("*.safetensors", "part.json", "view-*.json")
    files = [file for kind in kinds for file in folder.rglob(kind)]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def told(value: Any) -> Any:
    """A table without what depends on when it was made."""
    if isinstance(value, dict):
        of_time = ("seconds", "created", "costs", "checksum")
        return {key: told(each) for key, each in value.items() if key not in of_time}
    return [told(each) for each in value] if isinstance(value, list) else value


def test_actors_record_what_one_worker_records(tmp_path: Path, address: str) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    alone = stillhouse(tmp_path, "cache", "recipe.yaml", "-o", "alone/kd")
    on = stillhouse(
        tmp_path, "cache", "recipe.yaml", "-o", "ray/kd", "--on", "ray", "--address", address
    )
    assert (alone.returncode, on.returncode) == (0, 0), on.stderr
    assert "2 workers on the cluster" in on.stdout
    (here,) = (tmp_path / "alone/shared").glob("teacher-cache-*")
    there = tmp_path / on.stdout.split()[-1]
    assert there.name == here.name
    assert len(whole(here)) == 4
    assert whole(there) == whole(here)


def test_a_study_is_that_of_one_process_and_what_fails_is_told(
    tmp_path: Path, address: str
) -> None:
    (tmp_path / "study.yaml").write_text(RECIPE + ARMS)
    call = ("run", "study.yaml", "-o", "ray/s", "--on", "ray", "--address", address)
    alone, on = (
        stillhouse(tmp_path, "run", "study.yaml", "-o", "alone/s"),
        stillhouse(tmp_path, *call),
    )
    assert (alone.returncode, on.returncode) == (0, 0), on.stderr
    here, there = tmp_path / "alone/s", tmp_path / "ray/s"
    tables = [json.loads((each / "study.json").read_text()) for each in (here, there)]
    assert told(tables[0]) == told(tables[1])
    assert whole(here) == whole(there)
    assert [line for line in on.stdout.splitlines() if line.startswith("teacher of")] == [
        "teacher of kd, seed 0: finished"
    ]

    for arm in ("kd", "dkd"):
        (there / f"arms/{arm}/scores.json").unlink()
    weights = there / "arms/dkd/trainings/seed1/student.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    on = stillhouse(tmp_path, *call)
    assert on.returncode == 2, on.stderr
    (line,) = [each for each in on.stderr.splitlines() if each.startswith("stillhouse:")]
    assert "not finished: dkd (1 of 2 arms). arm dkd: " in line
    assert "student.safetensors" in line
    assert (there / "arms/kd/scores.json").is_file(), "the others go on"
