"""Batches of one's own that go wrong, at the start or late, are named in a sentence."""

import re

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import tiny_net
from torch.utils.data import DataLoader, TensorDataset

import stillhouse as sh
from stillhouse.data.loaders import batches_of
from stillhouse.data.tables import SampleTable
from stillhouse.engine.platform import Platform
from stillhouse.losses.memory import PastPredictions
from stillhouse.methods import crd, cs_kd, plain, ps_kd

IMAGES, LABELS = torch.randn(16, 3, 8, 8), torch.arange(16) % 3


def fitted(data: object, platform: Platform, **more: object) -> None:
    sh.fit(plain(tiny_net(4, 1)), data, epochs=1, batch_size=4, platform=platform, **more)


class Loader(DataLoader):
    """Whose third batch is another one."""

    def __init__(self, third: object) -> None:
        super().__init__(TensorDataset(IMAGES, LABELS), batch_size=4)
        self.third = third

    def __iter__(self):
        for step, batch in enumerate(super().__iter__()):
            yield self.third if step == 2 else batch


GOOD, FOUR = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 0])
NAN = GOOD.clone()
NAN[1, 0, 0, 0] = torch.nan
LATE = {
    "label too large": ((GOOD, torch.tensor([0, 1, 7, 0])), "the label of row 2 is 7; there are 3"),
    "label below 0": ((GOOD, torch.tensor([0, -1, 2, 0])), "the label of row 1 is -1; there are 3"),
    "labels of floats": ((GOOD, FOUR.float()), "'label' is float32, in the first batch int64"),
    "labels of int32": ((GOOD, FOUR.int()), "'label' is int32, in the first batch int64"),
    "one-hot labels": ((GOOD, torch.eye(4)[:, :3].long()), "a row of 'label' is [3], in the first"),
    "images of float64": ((GOOD.double(), FOUR), "'image' is float64, in the first batch float32"),
    "images of bytes": ((GOOD.byte(), FOUR), "the images are uint8, and a network is shown floats"),
    "other channels": (
        (GOOD[:, :1], FOUR),
        "a row of 'image' is [1, 8, 8], in the first batch [3,",
    ),
    "no rows": ((GOOD[:0], FOUR[:0]), "'image' has no rows; leave empty batches out"),
    "fewer labels": ((GOOD, FOUR[:2]), "its signals differ in rows: 4 of 'image', 2 of 'label'"),
    "nan": ((NAN, FOUR), "the image of row 1 holds nan or inf, as 1 rows do in all"),
    "arrays": ((GOOD.numpy(), FOUR.numpy()), "it is ['ndarray', 'ndarray']"),
    "another form": (({"a": 1}, FOUR), "it is ['dict', 'Tensor']"),
}


@pytest.mark.parametrize("case", LATE)
@pytest.mark.parametrize("role", ["train", "validation"])
def test_a_late_batch_is_named(case: str, role: str, platform: Platform) -> None:
    third, said = LATE[case]
    pairs = TensorDataset(IMAGES, LABELS)
    data = (Loader(third),) if role == "train" else (pairs, Loader(third))
    named = "batch 3 of 4 of the DataLoader, epoch 1: "
    with pytest.raises(sh.StillhouseError, match=f"{named}.*{re.escape(said)}"):
        fitted(*data[:1], platform, **({} if role == "train" else {"validation": data[1]}))


def test_a_size_that_the_networks_cannot_take_is_named(platform: Platform) -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 3))
    with pytest.raises(
        sh.StillhouseError, match=r"step 3: .* rows of 'batch.image' are \[3, 9, 9\]"
    ):
        sh.fit(plain(net), Loader((torch.randn(4, 3, 9, 9), FOUR)), epochs=1, platform=platform)


PICTURES = [(Image.new("RGB", (8, 8)), row % 3) for row in range(8)]
AT_ONCE = {
    "arrays": ((IMAGES, LABELS), "a tuple of arrays is no dataset of samples; give TensorDataset("),
    "numpy": ((IMAGES.numpy(), LABELS.numpy()), "a tuple of arrays is no dataset of samples"),
    "one tensor": (IMAGES, "a Tensor is no dataset of samples"),
    "a mapping": ({"image": IMAGES, "label": LABELS}, "a dict is no dataset of samples"),
    "text": ("digits", "a str is no dataset of samples"),
    "pictures": (PICTURES, "has a PIL image, and a network is shown floats: give the dataset a tr"),
    "bytes": ([(np.zeros((8, 8, 3), np.uint8), 0)] * 8, "the images are uint8, and a network"),
    "sizes": (
        [(torch.zeros(3, 8, 8 + row % 2), 0) for row in range(8)],
        "its samples make no batch",
    ),
    "loader of pictures": (DataLoader(PICTURES, 4), "its samples make no batch (default_collate"),
    "loader of one": (DataLoader(TensorDataset(IMAGES, LABELS), None), "'label' is one value; a b"),
    "loader of other keys": (
        DataLoader([{"x": GOOD[0], "y": 0}] * 8, 4),
        "no 'image' (it has: x, y)",
    ),
}


@pytest.mark.parametrize("case", AT_ONCE)
def test_what_is_no_data_is_a_sentence(case: str, platform: Platform) -> None:
    data, said = AT_ONCE[case]
    with pytest.raises(sh.StillhouseError, match=re.escape(said)):
        fitted(data, platform)


def test_arrays_of_floats_are_read_with_channels_last() -> None:
    values = np.random.default_rng(0).normal(size=(4, 5, 3))
    shown = batches_of([(values, 0), (values, 1)], batch_size=2).sample(1)["batch.image"]
    assert torch.equal(shown[0], torch.tensor(values).permute(2, 0, 1).float())


def test_samples_of_floats_are_taken_as_they_are() -> None:
    rows = [(torch.full((1, 2, 2), 0.25), 0), (torch.full((1, 2, 2), -3.0), 1)]
    table = SampleTable(rows, torch.tensor([0, 1]), torch.tensor([0, 1]))
    assert batches_of(table).sample(2)["batch.image"][:, 0, 0, 0].tolist() == [0.25, -3.0]


WRONG_ROWS = {
    "outside": (torch.tensor([0, 1, 2, 99]), "row 99 is none of the 16 training rows, 0 to 15"),
    "below 0": (torch.tensor([0, 1, 2, -1]), "row -1 is none of the 16 training rows"),
    "int32": (torch.tensor([0, 1, 2, 3], dtype=torch.int32), "int64 [B]; it is torch.int32 [4]"),
    "a list": ([0, 1, 2, 3], "'index' is list; a batch is tensors"),
}


@pytest.mark.parametrize("case", WRONG_ROWS)
def test_rows_that_are_none_are_refused(case: str) -> None:
    index, said = WRONG_ROWS[case]
    stages = [crd(tiny_net(4, 1), tiny_net(6, 2), negatives=4), ps_kd(tiny_net(4, 1))]
    for stage in stages:
        with stage.open(GOOD, FOUR, index=torch.arange(4), rows=LABELS) as objective:
            before = {name: value.clone() for name, value in objective.state_dict().items()}
            with pytest.raises(sh.StillhouseError, match=re.escape(said)):
                objective(GOOD, FOUR, index=index)
            memory = [name for name in before if "memory" in name or "said" in name]
            assert memory
            assert all(torch.equal(before[n], objective.state_dict()[n]) for n in memory)


def test_memories_take_rows_at_their_edges() -> None:
    past = PastPredictions(rows=16, classes=3)
    assert past(torch.zeros(2, 3), torch.tensor([0, 1]), torch.tensor([0, 15])).shape == (2,)


@pytest.mark.parametrize("rows", [0, -3, 2.5, True, [0, 1], "16", torch.zeros(2, 2)])
def test_rows_of_another_kind(rows: object) -> None:
    with pytest.raises(sh.StillhouseError, match="rows is the number of training rows"):
        ps_kd(tiny_net(4, 1)).open(GOOD, FOUR, index=torch.arange(4), rows=rows)


def test_a_sampler_takes_labels_as_a_list() -> None:
    stage = cs_kd(tiny_net(4, 1))
    assert list(stage.sampler(LABELS.tolist())) == list(stage.sampler(LABELS))
    with pytest.raises(sh.StillhouseError, match="labels of a sampler are whole numbers"):
        stage.sampler([0.5, 1.5])


def test_a_loader_without_rows_says_where_they_come_from(platform: Platform) -> None:
    loader = DataLoader(TensorDataset(IMAGES, LABELS), batch_size=4)
    with pytest.raises(sh.StillhouseError, match=r"batches of \(images, labels, index\)"):
        sh.fit(ps_kd(tiny_net(4, 1)), loader, epochs=1, platform=platform)
