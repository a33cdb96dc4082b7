"""What `fit` takes: a Dataset, a DataLoader, our tables; the same rows give the same bits."""

from dataclasses import replace

import pytest
import torch
from tiny import tiny_net
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

import stillhouse as sh
from stillhouse.data.batches import Batches
from stillhouse.data.loaders import DatasetBatches, batches_of
from stillhouse.data.tables import ImageTable
from stillhouse.engine.facts import facts_of
from stillhouse.engine.platform import Platform
from stillhouse.errors import DataError
from stillhouse.methods import crd, cs_kd, kd, plain


@pytest.fixture
def pairs() -> TensorDataset:
    made = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 3
    return TensorDataset(torch.randn(40, 3, 8, 8, generator=made) + labels[:, None, None, None],
                         labels)  # fmt: skip


class Named(Dataset):
    """Mappings, as Hugging Face gives them, with noise that is drawn anew each time."""

    def __init__(self, pairs: TensorDataset, noise: float = 0.0) -> None:
        self.pairs, self.noise = pairs, noise

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        image, label = self.pairs[row]
        return {"image": image + self.noise * torch.randn(image.shape), "labels": label}


def weights(data: object, platform: Platform, **more: object) -> dict[str, Tensor]:
    stage = kd(tiny_net(4, 1), tiny_net(6, 2))
    return sh.fit(stage, data, epochs=2, platform=platform, **more).last["student"]


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_dataset_is_shuffled_as_our_tables_are(pairs: TensorDataset, platform: Platform) -> None:
    by_hand = tiny_net(4, 1).train()
    optimizer = torch.optim.SGD(by_hand.parameters(), 0.1)
    batches = DatasetBatches(pairs, 8, 3, torch.device("cpu"))
    rows = torch.cat([batch["batch.index"] for batch in batches.epoch(1)])
    assert sorted(rows.tolist()) == list(range(40))
    shown = next(batches.epoch(1, start=2))
    assert torch.equal(shown["batch.index"], rows[16:24])
    assert torch.equal(shown["batch.image"], pairs.tensors[0][rows[16:24]])
    settings = sh.Settings(epochs=2, seed=3, optimizer=lambda p: torch.optim.SGD(p, 0.1),
                           schedule=lambda o, *_: torch.optim.lr_scheduler.ConstantLR(o, 1.0),
                           channels_last=False)  # fmt: skip
    student = tiny_net(4, 1)
    sh.fit(plain(student), pairs, batch_size=8, settings=settings, platform=platform)
    for epoch in range(2):
        for batch in batches.epoch(epoch):
            loss = torch.nn.functional.cross_entropy(by_hand(batch["batch.image"]),
                                                     batch["batch.label"])  # fmt: skip
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    for mine, theirs in zip(student.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)


def test_pairs_and_mappings_and_loaders_hold_the_same(
    pairs: TensorDataset, platform: Platform
) -> None:
    first = weights(pairs, platform, batch_size=8, validation=pairs)
    assert same(first, weights(Named(pairs), platform, batch_size=8))
    ordered = weights(DataLoader(pairs, batch_size=8), platform)
    assert same(ordered, weights(DataLoader(Named(pairs), batch_size=8), platform))
    assert not same(first, ordered), "a loader keeps its own order"


def test_what_a_dataset_draws_is_a_function_of_the_seed(
    pairs: TensorDataset, platform: Platform
) -> None:
    noisy = Named(pairs, noise=0.5)
    for data in (noisy, DataLoader(noisy, batch_size=64, shuffle=True)):
        torch.manual_seed(1)
        one = weights(data, platform)
        torch.manual_seed(2)
        assert same(one, weights(data, platform))
    batches = batches_of(noisy, batch_size=8)
    views = [next(batches.epoch(epoch))["batch.image"] for epoch in (0, 0, 1)]
    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])
    once = [next(iter(batches.once()))["batch.image"] for _ in range(2)]
    assert torch.equal(once[0], once[1])


def test_a_loader_goes_on_amid_an_epoch(pairs: TensorDataset) -> None:
    noisy = DataLoader(Named(pairs, noise=0.5), batch_size=8, shuffle=True)
    batches = batches_of(noisy)
    whole = list(batches.epoch(1))
    rest = list(batches.epoch(1, start=3))
    assert [len(whole), len(rest)] == [5, 2]
    assert all(torch.equal(a["batch.image"], b["batch.image"])
               for a, b in zip(whole[3:], rest, strict=True))  # fmt: skip


def test_our_tables_are_taken_as_they_are(
    table: ImageTable, train: Batches, platform: Platform
) -> None:
    mean, std = table.mean_std()
    plain_views = replace(train, augment=sh_augment(mean, std), order_seed=0)
    one = weights(table, platform, batch_size=8)
    assert same(one, weights(plain_views, platform))


def sh_augment(mean: tuple[float, ...], std: tuple[float, ...]) -> object:
    from stillhouse.data.augment import Augment

    return Augment(mean, std)


def test_methods_that_need_rows_find_them(pairs: TensorDataset, platform: Platform) -> None:
    facts = facts_of(batches_of(Named(pairs), batch_size=8))
    assert facts.rows == 40
    assert torch.equal(facts.classes, pairs.tensors[1])
    sh.fit(crd(tiny_net(4, 1), tiny_net(6, 2)), pairs, epochs=1, batch_size=8, platform=platform)
    sh.fit(cs_kd(tiny_net(4, 1)), Named(pairs), epochs=1, batch_size=8, platform=platform)
    loader = DataLoader(pairs, batch_size=8)
    with pytest.raises(sh.StillhouseError, match=r"the batch has no 'index'"):
        sh.fit(crd(tiny_net(4, 1), tiny_net(6, 2)), loader, epochs=1, platform=platform)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (7, "a int cannot be trained on; give a Dataset"),
        ([], "the dataset has no rows"),
        ([("text", 1)] * 4, r"it is \['tuple', 'Tensor'\].*ToTensor"),
        (DataLoader(TensorDataset(torch.zeros(4, 3))), r"a batch must be \(images, labels\)"),
    ],
)
def test_what_it_cannot_take_is_a_sentence(data: object, said: str, platform: Platform) -> None:
    with pytest.raises(DataError, match=said):
        sh.fit(plain(tiny_net()), data, epochs=1, platform=platform)
