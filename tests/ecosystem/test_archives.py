"""WebDataset archives: webdataset writes them, a real S3 server gives them."""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from stillhouse.data import load
from stillhouse.data.sources import pictures
from stillhouse.data.tables import images_of
from stillhouse.recipes import load_recipe
from stillhouse.runs.run import prepare, run

pytestmark = pytest.mark.ecosystem

if not all(map(find_spec, ("webdataset", "moto", "s3fs", "flask_cors"))):
    pytest.skip("webdataset, moto or s3fs is not installed", allow_module_level=True)

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks" / "faults"))

from faulty_store import FaultyStore  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import webdataset

    place = tmp_path_factory.mktemp("set")
    drawn = np.random.default_rng(0)
    patterns = drawn.integers(0, 256, (4, 12, 12, 3))
    for split, count in (("train", 160), ("test", 40)):
        with webdataset.ShardWriter(
            str(place / f"{split}-%04d.tar"), maxcount=40, verbose=0
        ) as writer:
            for row in range(count):
                noisy = patterns[row % 4] + drawn.normal(0, 60, (12, 12, 3))
                image = np.clip(noisy, 0, 255).astype(np.uint8)
                writer.write({"__key__": f"{row:05}", "png": image, "cls": row % 4})
    return place


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # webdataset leaves its files open
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_rows_are_those_that_webdataset_reads(folder: Path) -> None:
    import webdataset

    files = sorted(map(str, folder.glob("train-*.tar")))
    pairs = webdataset.WebDataset(files, shardshuffle=False).decode("rgb8").to_tuple("png", "cls")
    ours = images_of(load(folder, validation=0).train, "this test").images  # type: ignore[union-attr]
    theirs = list(pairs)
    assert len(theirs) == len(ours) == 160
    assert all(np.array_equal(image, mine) for (image, _), mine in zip(theirs, ours, strict=True))
    labels = load(folder, validation=0).train.labels.tolist()
    assert labels == [label for _, label in theirs]


def test_a_student_of_a_store_is_that_of_the_disk_by_bounded_copies(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(pictures, "IN_MEMORY", 0)  # as data that memory does not hold
    largest = max(path.stat().st_size for path in folder.glob("*.tar"))
    room = {"local": str(tmp_path / "copies"), "local_gb": 2 * largest / 1e9}
    states = []
    with FaultyStore() as store:
        import fsspec

        for path in folder.glob("*.tar"):
            fsspec.filesystem("s3").put_file(str(path), f"{store.bucket}/set/{path.name}")
        for source, archives in (
            (str(folder), {"shuffle": 1}),
            (f"s3://{store.bucket}/set", {"shuffle": 1, **room}),
        ):
            recipe = tmp_path / f"recipe-{len(states)}.yaml"
            written = {
                "data": {"source": source, "archives": archives, "workers": 2},
                "teacher": {"model": "convnet-4-8", "epochs": 1},
                "student": "convnet-4-8",
                "epochs": 2,
                "seeds": 1,
                "batch": 32,
                "compile": False,
            }
            recipe.write_text(yaml.safe_dump(written))
            outcome = run(prepare(load_recipe(recipe), tmp_path / f"run-{len(states)}"))
            states.append(outcome.student.state_dict())
    held = [path.stat().st_size for path in (tmp_path / "copies").glob("[!.]*")]
    assert 0 < sum(held) <= 2 * largest
    first, second = states
    assert all(torch.equal(first[name], second[name]) for name in first)
