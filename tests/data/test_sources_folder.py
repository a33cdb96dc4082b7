import numpy as np
import pytest
from PIL import Image

from stillhouse.data.sources.folder import SUFFIXES, read_folder
from stillhouse.data.tables import SampleTable
from stillhouse.errors import DataError


def picture(path, value=0, size=(3, 2)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)


def classes(root, names=("cat", "dog"), count=2):
    for number, name in enumerate(names):
        for i in range(count):
            picture(root / name / f"{i}.png", 10 * number + i)


def test_folders_are_classes_in_natural_order(tmp_path):
    classes(tmp_path, ("s10", "s2", "s1"))
    found = read_folder(tmp_path)
    assert found.classes == ("s1", "s2", "s10")
    assert found.name == tmp_path.name
    table = found.parts["train"]
    assert table.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert table.images[:, 0, 0, 0].tolist() == [20, 21, 10, 11, 0, 1]


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_split_folders(tmp_path, name):
    classes(tmp_path / "train")
    classes(tmp_path / name, ("dog",))
    classes(tmp_path / "test")
    found = read_folder(tmp_path)
    assert list(found.parts) == ["train", "validation", "test"]
    assert found.parts["validation"].labels.tolist() == [1, 1]
    assert found.classes == ("cat", "dog")


def test_all_suffixes_and_deeper_folders(tmp_path):
    for i, suffix in enumerate(SUFFIXES):
        picture(tmp_path / "a" / "deep" / f"{i}{suffix.upper()}")
    picture(tmp_path / "b" / "0.png")
    (tmp_path / "b" / "notes.txt").write_text("no image")
    (tmp_path / "b" / ".hidden.png").write_text("no image")
    (tmp_path / ".cache").mkdir()
    assert len(read_folder(tmp_path).parts["train"]) == len(SUFFIXES) + 1


def test_several_sizes_are_read_from_their_files(tmp_path):
    picture(tmp_path / "a" / "0.png", 1)
    picture(tmp_path / "b" / "0.png", 2, size=(5, 5))
    table = read_folder(tmp_path).parts["train"]
    assert isinstance(table, SampleTable)
    assert np.asarray(table.read(1)).tolist() == [[[2, 2, 2]] * 5] * 5
    mark = table.fingerprint()
    assert read_folder(tmp_path).parts["train"].fingerprint() == mark
    (tmp_path / "b" / "0.png").rename(tmp_path / "b" / "1.png")
    assert read_folder(tmp_path).parts["train"].fingerprint() != mark
    with pytest.raises(DataError, match=r"0\.png cannot be read"):
        table.read(1)


def test_damaged_file_is_named(tmp_path):
    classes(tmp_path)
    (tmp_path / "dog" / "1.png").write_bytes(b"junk")
    with pytest.raises(DataError, match=r"dog.1\.png: the image cannot be read"):
        read_folder(tmp_path)


def test_empty_class_folder(tmp_path):
    classes(tmp_path)
    (tmp_path / "eel").mkdir()
    with pytest.raises(DataError, match=r"class folder .*eel has no image"):
        read_folder(tmp_path)


def test_class_that_only_test_has(tmp_path):
    classes(tmp_path / "train")
    classes(tmp_path / "test", ("cat", "eel"))
    with pytest.raises(DataError, match=r"eel.0\.png: test has the label 'eel', which train does"):
        read_folder(tmp_path)


def test_folder_beside_train_that_is_no_split(tmp_path):
    classes(tmp_path / "train")
    classes(tmp_path / "extra")
    with pytest.raises(DataError, match="'extra' is none of train, validation, test"):
        read_folder(tmp_path)


def test_two_folders_of_one_split(tmp_path):
    for name in ("train", "val", "validation"):
        classes(tmp_path / name)
    with pytest.raises(DataError, match="val and validation are both validation"):
        read_folder(tmp_path)


def test_test_without_train(tmp_path):
    classes(tmp_path / "test")
    classes(tmp_path / "val")
    with pytest.raises(DataError, match="test, val but no train"):
        read_folder(tmp_path)


def test_folder_of_nothing(tmp_path):
    (tmp_path / "readme.txt").write_text("nothing")
    with pytest.raises(DataError, match="neither parquet files nor class folders"):
        read_folder(tmp_path)


def test_one_class(tmp_path):
    classes(tmp_path, ("cat",))
    with pytest.raises(DataError, match=r"one class only \(cat\)"):
        read_folder(tmp_path)
