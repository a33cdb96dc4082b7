import os
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from stillhouse.data.sources.find import find
from stillhouse.data.sources.folder import read_folder
from stillhouse.data.tables import SampleTable
from stillhouse.errors import DataError
from stillhouse.records import file_hashes as file_hashes_module

SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".gif")


def picture(path, value=0, size=(3, 2)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)
    return path


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
        find(tmp_path, None, None, False)
    people = find(tmp_path, None, None, False, open_set=True)
    assert people.classes[-1] == "eel"
    assert people.image_name("test", 0) == "test/cat/0.png"


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
    with pytest.raises(DataError, match=r"holds no class folders.* It has 1 \.txt"):
        read_folder(tmp_path)


def test_one_class(tmp_path):
    classes(tmp_path, ("cat",))
    with pytest.raises(DataError, match=r"one class only \(cat\), and a network learns"):
        find(tmp_path, None, None, False)
    assert find(tmp_path, None, None, False, open_set=True).classes == ("cat",)


def test_hidden_things_are_out_and_what_is_left_out_is_counted(tmp_path):
    classes(tmp_path)
    picture(tmp_path / "cat" / ".ipynb_checkpoints" / "0.png")
    picture(tmp_path / "cat" / "deep" / ".thumbs" / "0.png")
    picture(tmp_path / "cat" / "deep" / "0.png")
    picture(tmp_path / "__MACOSX" / "cat" / "0.png")
    for name in ("cat/a.HEIC", "cat/b.heic", "dog/notes.txt", "dog/LICENSE", "labels.csv"):
        (tmp_path / name).write_bytes(b"x")
    os.mkfifo(tmp_path / "dog" / "pipe.png")
    (tmp_path / "dog" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "dog" / "circle").symlink_to(tmp_path / "dog", target_is_directory=True)
    found = read_folder(tmp_path)
    assert len(found.parts["train"]) == 5
    assert found.notes == (
        f"{tmp_path}: left out are 1 .csv outside class folders, 2 .heic, 1 .txt, 1 broken link, "
        "3 hidden, 1 link to a folder above it, 1 pipe, socket or device, 1 without a suffix",
        f"{tmp_path}: 1 images lie in folders inside class folders; their class is the outer one",
    )


def test_links_to_files_and_folders_are_followed(tmp_path):
    classes(tmp_path / "real", ("cat",))
    (tmp_path / "set" / "dog").mkdir(parents=True)
    picture(tmp_path / "set" / "dog" / "0.png")
    (tmp_path / "set" / "dog" / "1.png").symlink_to(tmp_path / "real" / "cat" / "1.png")
    (tmp_path / "set" / "cat").symlink_to(tmp_path / "real" / "cat", target_is_directory=True)
    found = read_folder(tmp_path / "set")
    assert found.parts["train"].images[:, 0, 0, 0].tolist() == [0, 1, 0, 1]
    assert found.notes == ()


def test_names_that_are_no_utf8(tmp_path):
    classes(tmp_path)
    odd = os.fsdecode(bytes([99, 233]))
    picture(tmp_path / "cat" / "0.png").rename(tmp_path / "cat" / f"{odd}.png")
    found = read_folder(tmp_path)
    assert len(found.parts["train"]) == 4
    (tmp_path / "cat" / f"{odd}.png").write_bytes(b"junk")
    with pytest.raises(DataError, match=r"c\\xe9\.png: the image cannot be read"):
        read_folder(tmp_path)
    (tmp_path / "dog").rename(tmp_path / odd)
    with pytest.raises(DataError, match=r"class folder .*c\\xe9 is no UTF-8"):
        read_folder(tmp_path)


def test_a_class_of_what_is_not_read_says_what_it_has(tmp_path):
    classes(tmp_path)
    (tmp_path / "eel").mkdir()
    (tmp_path / "eel" / "a.heic").write_bytes(b"x")
    with pytest.raises(DataError, match=r"eel has no image \(it has 1 \.heic, which are not read"):
        read_folder(tmp_path)


def test_other_pixels_under_the_same_names_and_sizes_are_another_set(tmp_path, monkeypatch):
    """Also under the same time of change, which anybody can set."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(file_hashes_module, "SETTLED_NS", 0)
    root = tmp_path / "set"
    for name, side in (("a", 3), ("b", 5)):
        Image.new("L", (side, 2)).save(root_file(root, name, "0.bmp"))
        Image.new("L", (side, 2)).save(root_file(root, name, "1.bmp"))
    mark = read_folder(root).parts["train"].fingerprint()
    assert read_folder(root).parts["train"].fingerprint() == mark, "now remembered"
    with closing(sqlite3.connect(file_hashes_module.cache_path())) as table, table:
        assert table.execute("UPDATE files SET sha256 = ?", ("0" * 64,)).rowcount == 4
    assert read_folder(root).parts["train"].fingerprint() == mark, "a damaged row is none"
    path = root / "b" / "1.bmp"
    before = path.stat()
    Image.new("L", (5, 2), 200).save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert read_folder(root).parts["train"].fingerprint() != mark


def root_file(root, name, file):
    (root / name).mkdir(parents=True, exist_ok=True)
    return root / name / file


def test_pictures_of_several_sizes_say_which(tmp_path):
    picture(tmp_path / "a" / "0.png")
    picture(tmp_path / "b" / "0.png", size=(5, 4))
    dataset = read_folder(tmp_path).parts["train"].dataset
    assert dataset.differ == f"{tmp_path}/a/0.png is 3 x 2, {tmp_path}/b/0.png 5 x 4"
