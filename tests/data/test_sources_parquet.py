import io
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from stillhouse.data.sources.find import find
from stillhouse.data.sources.hugging_face import read_parquet
from stillhouse.data.tables import SampleTable
from stillhouse.errors import DataError

SHARED = Path(__file__).parents[3] / "shared" / "data"


def shared(name):
    if not (SHARED / name).exists():
        pytest.skip(f"the real data {name} is not here")
    return SHARED / name


def png(value, size=(3, 2), mode="L"):
    out = io.BytesIO()
    Image.new(mode, size, value).save(out, "PNG")
    return out.getvalue()


def cells(values, **options):
    return [{"bytes": png(value, **options), "path": None} for value in values]


def write(path, columns, features=None):
    table = pa.table(columns)
    if features is not None:
        text = (
            features if isinstance(features, str) else json.dumps({"info": {"features": features}})
        )
        table = table.replace_schema_metadata({"huggingface": text})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def simple(path, labels=(0, 1, 0, 1), first=10, **extra):
    write(path, {"image": cells(range(first, first + len(labels))), "label": list(labels), **extra})


def read(folder, image=None, label=None):
    return read_parquet(folder, image, label)


def values(table):
    return table.images[:, 0, 0, 0].tolist()


def test_files_of_a_split_are_joined_in_natural_order(tmp_path):
    simple(tmp_path / "train-10.parquet", first=30)
    simple(tmp_path / "train-9.parquet", first=10)
    simple(tmp_path / "val-0.parquet", (1, 1), first=50)
    simple(tmp_path / "test.parquet", (0, 1), first=60)
    found = read(tmp_path)
    assert list(found.parts) == ["train", "validation", "test"]
    assert values(found.parts["train"]) == [10, 11, 12, 13, 30, 31, 32, 33]
    assert values(found.parts["validation"]) == [50, 51]
    assert found.parts["test"].labels.tolist() == [0, 1]
    assert found.name == tmp_path.name
    assert found.classes == ("0", "1")
    assert found.parts["train"].images.shape[1:] == (2, 3, 1)


@pytest.mark.parametrize("name", ["all.parquet", "data/training_set.parquet", "testing.parquet"])
def test_files_without_split_names_are_train(tmp_path, name):
    simple(tmp_path / name)
    assert list(read(tmp_path).parts) == ["train"]


def test_one_file(tmp_path):
    simple(tmp_path / "test-0.parquet")
    found = read(tmp_path / "test-0.parquet")
    assert list(found.parts) == ["train"]
    assert found.name == "test-0"


def test_classes_come_from_the_metadata(tmp_path):
    names = ["fox", "ant"]
    columns = {"img": cells([1, 2]), "y": [1, 0]}
    write(tmp_path / "a.parquet", columns, {"y": {"names": names, "_type": "ClassLabel"}})
    found = read(tmp_path)
    assert found.classes == ("fox", "ant")
    assert found.parts["train"].labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]
)
def test_text_labels(tmp_path, kind):
    labels = pa.array(["s10", "s2", "s1"]).cast(kind)
    write(tmp_path / "a.parquet", {"image": cells([1, 2, 3]), "who": labels})
    found = read(tmp_path)
    assert found.classes == ("s1", "s2", "s10")
    assert found.parts["train"].labels.tolist() == [2, 1, 0]


@pytest.mark.parametrize("name", ["label", "labels", "fine_label", "target"])
def test_known_names_of_label_columns_come_first(tmp_path, name):
    simple(tmp_path / "a.parquet", id=[5, 6, 7, 8], text=["a"] * 4)
    table = pq.read_table(tmp_path / "a.parquet").rename_columns(["image", name, "id", "text"])
    pq.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path).parts["train"].labels.tolist() == [0, 1, 0, 1]
    with pytest.raises(DataError, match="no row of class 0, 1, 2, 3, 4;"):
        find(tmp_path, None, "id", False)


def test_raw_bytes_are_images_where_there_is_no_struct(tmp_path):
    write(tmp_path / "a.parquet", {"jpg": [png(7), png(8)], "cls": [0, 1]})
    assert values(read(tmp_path).parts["train"]) == [7, 8]
    write(tmp_path / "a.parquet", {"im": cells([1, 2]), "mask": [png(7), png(8)], "cls": [0, 1]})
    assert values(read(tmp_path).parts["train"]) == [1, 2]
    assert values(read(tmp_path, image="mask").parts["train"]) == [7, 8]


def test_several_sizes_stay_encoded(tmp_path):
    images = cells([1]) + cells([2], size=(4, 4))
    write(tmp_path / "a.parquet", {"image": images, "label": [0, 1]})
    table = read(tmp_path).parts["train"]
    assert isinstance(table, SampleTable)
    assert [table.read(row).size for row in (0, 1)] == [(3, 2), (4, 4)]
    mark = table.fingerprint()
    assert read(tmp_path).parts["train"].fingerprint() == mark
    images[1] = cells([3], size=(4, 4))[0]
    write(tmp_path / "a.parquet", {"image": images, "label": [0, 1]})
    assert read(tmp_path).parts["train"].fingerprint() != mark
    copied = pickle.loads(pickle.dumps(table))  # as workers of a DataLoader do
    assert copied.read(1).tobytes() == table.read(1).tobytes()


REFUSED = {
    "two images": (
        {"a": cells([1, 2]), "b": cells([1, 2]), "label": [0, 1]},
        {},
        "2 columns could hold the images (a, b); say image= (recipe key data.image)",
    ),
    "no image": ({"text": ["a", "b"], "label": [0, 1]}, {}, "no column could hold the images"),
    "two labels": (
        {"image": cells([1, 2]), "x": [0, 1], "y": [0, 1]},
        {},
        "2 columns could hold the labels (x, y); say label=",
    ),
    "no label": ({"image": cells([1, 2]), "x": [0.0, 1.0]}, {}, "no column could hold the labels"),
    "listed": (
        {"image": cells([1, 2]), "x": [0.0, 1.0]},
        {},
        "the columns are: image (struct<bytes: binary, path: null>), x (double)",
    ),
    "wrong name": (
        {"image": cells([1, 2]), "label": [0, 1]},
        {"label": "lable"},
        "no column 'lable' (label=); nearest: label",
    ),
    "wrong image": (
        {"image": cells([1, 2]), "label": [0, 1]},
        {"image": "img"},
        "no column 'img' (image=)",
    ),
    "wrong type": (
        {"image": cells([1, 2]), "x": [0.5, 1.0], "y": [0, 1]},
        {"label": "x"},
        "column 'x' (label=) is double",
    ),
    "empty label": (
        {"image": cells([1, 2]), "label": [0, None]},
        {},
        "a.parquet, row 1: the label is empty",
    ),
    "empty image": (
        {"image": [*cells([1]), None], "label": [0, 1]},
        {},
        "a.parquet, row 1: there are no image bytes",
    ),
    "path only": (
        {"image": [*cells([1]), {"bytes": None, "path": "/etc/passwd"}], "label": [0, 1]},
        {},
        "a.parquet, row 1: there are no image bytes",
    ),
    "damaged": (
        {"image": [*cells([1]), {"bytes": png(1)[:50], "path": None}], "label": [0, 1]},
        {},
        "a.parquet, row 1: the image cannot be read",
    ),
    "no rows": (
        {"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())},
        {},
        "train has no rows",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(tmp_path, case):
    columns, asked, message = REFUSED[case]
    write(tmp_path / "a.parquet", columns)
    with pytest.raises(DataError, match=re.escape(message)):
        read(tmp_path, **asked)


def test_damaged_row_is_counted_within_its_file(tmp_path):
    simple(tmp_path / "train-0.parquet")
    images = [*cells([1]), {"bytes": b"junk", "path": None}]
    write(tmp_path / "train-1.parquet", {"image": images, "label": [0, 1]})
    with pytest.raises(DataError, match=r"train-1\.parquet, row 1: the image cannot be read"):
        read(tmp_path)


def test_label_of_test_that_train_does_not_have(tmp_path):
    simple(tmp_path / "train-0.parquet")
    simple(tmp_path / "test-0.parquet", (0, 2))
    with pytest.raises(DataError, match=r"test-0\.parquet, row 1: test has the label 2"):
        find(tmp_path, None, None, False)
    people = find(tmp_path, None, None, False, open_set=True)
    assert people.classes == ("0", "1", "2")
    assert people.parts["test"].labels.tolist() == [0, 2]


def test_file_that_belongs_to_no_split(tmp_path):
    simple(tmp_path / "train-0.parquet")
    simple(tmp_path / "extra.parquet")
    with pytest.raises(DataError, match=r"extra\.parquet belongs to no split"):
        read(tmp_path)


def test_no_train(tmp_path):
    simple(tmp_path / "test-0.parquet")
    with pytest.raises(DataError, match=r"test-0\.parquet but no train-\*\.parquet"):
        read(tmp_path)


def test_second_file_with_other_columns(tmp_path):
    simple(tmp_path / "train-0.parquet")
    write(tmp_path / "train-1.parquet", {"img": cells([1, 2]), "label": [0, 1]})
    with pytest.raises(DataError, match=r"train-1\.parquet has no column 'image'"):
        read(tmp_path)


def test_files_that_name_the_classes_differently(tmp_path):
    columns = {"image": cells([1, 2]), "label": [0, 1]}
    write(tmp_path / "train-0.parquet", columns, {"label": {"names": ["a", "b"]}})
    write(tmp_path / "test-0.parquet", columns, {"label": {"names": ["b", "a"]}})
    with pytest.raises(DataError, match="name the classes differently"):
        read(tmp_path)


@pytest.mark.parametrize("features", ["{", '["a"]', {"label": {"names": [1, 2]}}, {"label": 3}])
def test_metadata_that_hugging_face_does_not_write(tmp_path, features):
    write(tmp_path / "a.parquet", {"image": cells([1, 2]), "label": [0, 1]}, features)
    with pytest.raises(DataError, match="metadata 'huggingface' is not as"):
        read(tmp_path)


@pytest.mark.parametrize("cut", [0, 100, -8])
def test_file_cut_short(tmp_path, cut):
    simple(tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[:cut])
    with pytest.raises(DataError, match=r"a\.parquet cannot be read as parquet"):
        read(tmp_path)


def test_real_faces():
    found = read(shared("orl_faces"))
    table = found.parts["train"]
    assert found.classes == tuple(f"s{i}" for i in range(1, 41))
    assert table.labels.tolist() == [row // 10 for row in range(400)]
    assert (len(table), table.height, table.width, table.channels) == (400, 112, 92, 1)


def test_real_mnist_is_as_pillow_and_the_paper_have_it():
    file = shared("mnist") / "test-00000-of-00001.parquet"
    table = read(file).parts["train"]
    counts = np.bincount(table.labels.numpy()).tolist()
    assert counts == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    rows = pq.read_table(file).slice(9000, 5).to_pylist()
    for row, cell in enumerate(rows, start=9000):
        image = Image.open(io.BytesIO(cell["image"]["bytes"]))
        assert np.array_equal(table.images[row, ..., 0].numpy(), np.asarray(image))
        assert table.labels[row] == cell["label"]
    assert table.mean_std()[0][0] == pytest.approx(0.1325, abs=1e-4)  # known of MNIST's test set


def test_parquet_in_folders_of_splits(tmp_path):
    simple(tmp_path / "default" / "train" / "0000.parquet")
    simple(tmp_path / "default" / "eval" / "0000.parquet", first=50)
    simple(tmp_path / ".cache" / "train" / "0000.parquet")
    found = read(tmp_path)
    assert {split: values(table)[0] for split, table in found.parts.items()} == {
        "train": 10, "validation": 50,
    }  # fmt: skip
    simple(tmp_path / "other" / "train" / "0000.parquet")
    with pytest.raises(DataError, match=r"several sets of \.parquet files \(default, other\)"):
        read(tmp_path)
