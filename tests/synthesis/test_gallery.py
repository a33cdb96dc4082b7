"""The gallery: its numbers against naive loops, its files, and what it refuses."""

import json
import math
from pathlib import Path

import pytest
import torch
from tiny import GREY, grey_net, tiny_net
from torch import Tensor, nn

from stillhouse.data import load
from stillhouse.data.sources.synthesis import MANIFEST, ROWS, present, read_file
from stillhouse.errors import DataError, SystemFault
from stillhouse.records.checked import write_checked
from stillhouse.synthesis import make_gallery, read_gallery, synthesize
from stillhouse.synthesis.gallery import training_images
from stillhouse.synthesis.gallery.pictures import nearest_images, pictures, shown_classes
from stillhouse.synthesis.store import write
from stillhouse.synthesis.targets import class_similarity

METHOD = {"name": "zero_shot", "steps": 5, "lr": 0.05, "batch": 16, "temperature": 2.0}


@pytest.fixture
def folder(net: nn.Module, tmp_path: Path) -> Path:
    asked = {"method": METHOD, "count": 40, "image_shape": GREY, "device": "cpu"}
    return synthesize(net, out=tmp_path / "made", **asked).directory


@pytest.fixture
def real() -> tuple[Tensor, Tensor]:
    drawn = torch.Generator().manual_seed(1)
    images = torch.rand(30, *GREY, generator=drawn) * 3 - 1
    return images, torch.randint(4, (30,), generator=drawn)


def rows(folder: Path) -> dict[str, Tensor]:
    held = [read_file(path) for path in present(folder, ROWS).values()]
    return {key: torch.cat([part[key] for part in held]) for key in held[0]}


def softmax(logits: list[float], temperature: float) -> list[float]:
    powers = [math.exp(z / temperature) for z in logits]
    return [power / sum(powers) for power in powers]


def test_the_means_of_sorted_probabilities_are_those_of_a_loop(folder: Path) -> None:
    held, found = rows(folder), make_gallery(folder)
    assert [group.beta for group in found.facts.groups] == [1.0, 0.1]
    for at, beta in enumerate((1.0, 0.1)):
        mine = [n for n in range(40) if abs(float(held["beta"][n]) - beta) < 1e-6]
        assert found.facts.groups[at].images == len(mine) > 0
        said = [sorted(softmax(held["logits"][n].tolist(), 2.0), reverse=True) for n in mine]
        asked = [sorted(held["target"][n].tolist(), reverse=True) for n in mine]
        for got, wanted in ((found.achieved[at], said), (found.target[at], asked)):
            means = [sum(column) / len(mine) for column in zip(*wanted, strict=True)]
            assert got.tolist() == pytest.approx(means, rel=1e-5, abs=1e-7)
        assert found.facts.groups[at].achieved == pytest.approx(float(found.achieved[at, 0]))
        gaps = [
            sum(y * math.log(y / p) for y, p in zip(target, achieved, strict=True) if y > 0)
            for target, achieved in (
                (held["target"][n].tolist(), softmax(held["logits"][n].tolist(), 2.0)) for n in mine
            )
        ]
        assert found.facts.groups[at].gap["1.0"] == pytest.approx(max(gaps), abs=1e-5)
        median = sorted(gaps)[round(0.5 * (len(gaps) - 1))]
        assert found.facts.groups[at].gap["0.5"] == pytest.approx(median, abs=1e-5)


def test_the_largest_probability_of_each_given_class(folder: Path) -> None:
    held, facts = rows(folder), make_gallery(folder).facts
    for number in range(4):
        mine = [n for n in range(40) if int(held["label"][n]) == number]
        said = [max(softmax(held["logits"][n].tolist(), 2.0)) for n in mine]
        asked = [float(held["target"][n].max()) for n in mine]
        assert facts.achieved_peak[number] == pytest.approx(sum(said) / len(mine), rel=1e-5)
        assert facts.target_peak[number] == pytest.approx(sum(asked) / len(mine), rel=1e-5)


def test_the_nearest_image_is_that_of_brute_force(folder: Path, real) -> None:
    held, found = rows(folder), make_gallery(folder, training=real)
    images, labels = real

    def standard(image: Tensor) -> list[float]:
        values = image.flatten().double().tolist()
        mean = sum(values) / len(values)
        std = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
        return [(value - mean) / std for value in values]

    for place, one in enumerate(found.facts.impressions):
        own = standard(held["image"][one.row])
        distances = [math.dist(own, standard(other)) for other in images]
        best = min(range(len(images)), key=distances.__getitem__)
        assert one.label == int(labels[best])
        assert one.distance == pytest.approx(distances[best], rel=1e-5)
        both = torch.stack([held["image"][one.row].flatten(), images[best].flatten()])
        assert one.likeness == pytest.approx(float(torch.corrcoef(both)[0, 1]), abs=1e-5)
        assert torch.equal(found.nearest[place], pictures(images[best : best + 1])[0])
    assert found.facts.compared == 30


def test_training_images_may_come_in_pieces(folder: Path, real) -> None:
    whole = make_gallery(folder, training=real).facts
    pieces = zip(real[0].split(7), real[1].split(7), strict=True)
    assert make_gallery(folder, training=pieces).facts == whole


def test_of_equal_images_the_first_is_taken_and_a_flat_one_is_no_trouble() -> None:
    ramp = torch.arange(4.0).view(1, 1, 2, 2)
    training = torch.cat([torch.ones(1, 1, 2, 2), 2 * ramp + 5, ramp])
    found = nearest_images(ramp, [(training, torch.tensor([0, 1, 2]))])
    assert (found.labels.tolist(), found.compared) == ([1], 3)
    assert float(found.likeness()[0]) == pytest.approx(1.0)


def test_the_gallery_goes_from_the_surest_to_the_least_sure(folder: Path) -> None:
    held, facts = rows(folder), make_gallery(folder).facts
    peak = torch.softmax(held["logits"] / 2.0, 1).amax(1)
    assert facts.shown == [0, 1, 2, 3]
    for number in range(4):
        shown = [one for one in facts.impressions if one.given == number]
        mine = sorted((float(p) for p in peak[held["label"] == number]), reverse=True)
        told = [one.confidence for one in shown]
        assert len(shown) == min(6, len(mine))
        assert told == sorted(told, reverse=True)
        assert (told[0], told[-1]) == pytest.approx((mine[0], mine[-1]))
        assert all(one.asked == int(held["asked"][one.row]) for one in shown)


def test_only_the_first_rows_may_be_meant(folder: Path, net: nn.Module) -> None:
    held, facts = rows(folder), make_gallery(folder, count=20).facts
    assert (facts.count, facts.made) == (20, 40)
    assert facts.balance.given == torch.bincount(held["label"][:20], minlength=4).tolist()
    assert facts.balance.asked == torch.bincount(held["asked"][:20], minlength=4).tolist()
    assert max(one.row for one in facts.impressions) < 20
    pixels = held["image"][:20].double()
    assert facts.pixels.low == float(pixels.min())
    assert facts.pixels.high == float(pixels.max())
    assert facts.pixels.std == pytest.approx(float(pixels.std(correction=0)))
    assert facts.seconds == pytest.approx(float(held["seconds"][:20].double().sum()), abs=1e-3)
    whole = make_gallery(folder).facts
    assert (
        whole.balance.model_dump().items()
        <= {**json.loads((folder / MANIFEST).read_text())["balance"]}.items()
    )
    for count in (0, 41):
        with pytest.raises(DataError, match="holds 40 images and the first"):
            make_gallery(folder, count=count)


def test_the_similarity_of_the_targets_is_in_the_manifest(folder: Path, net: nn.Module) -> None:
    wanted = class_similarity(net[-1].weight)
    found = make_gallery(folder)
    assert float((found.similarity - wanted).abs().max()) < 1e-4
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["similarity"][0][0] == 1.0
    given = make_gallery(folder, similarity=torch.eye(4)).similarity
    assert torch.equal(given, torch.eye(4))
    with pytest.raises(DataError, match=r"similarity is \[3, 3\]"):
        make_gallery(folder, similarity=torch.eye(3))


@pytest.mark.parametrize("method", ["class_impressions", "noise_uniform"])
def test_methods_without_similarity_tell_none(net: nn.Module, tmp_path: Path, method: str) -> None:
    asked = {"name": method, **({"steps": 2} if method == "class_impressions" else {})}
    synthesize(net, method=asked, count=9, image_shape=GREY, out=tmp_path, device="cpu")
    assert "similarity" not in json.loads((tmp_path / MANIFEST).read_text())
    found = make_gallery(tmp_path)
    assert found.similarity is None
    (group,) = found.facts.groups
    assert group.beta is None
    assert (found.target is None) == (group.gap is None) == (method == "noise_uniform")


def test_an_empty_class_and_three_channels(tmp_path: Path) -> None:
    net = tiny_net()
    with torch.no_grad():
        net.fc.bias.copy_(torch.tensor([50.0, -50.0, 0.0]))  # class 1 is never given
    shape = (3, 8, 8)
    synthesize(net, method="noise_uniform", count=7, image_shape=shape, out=tmp_path, device="cpu")
    real = torch.rand(5, *shape), torch.zeros(5, dtype=torch.int64)
    found = make_gallery(tmp_path, training=real)
    assert found.facts.balance.given == [7, 0, 0]
    assert found.facts.achieved_peak[1] is None
    assert found.impression.shape == found.nearest.shape == (6, 3, 8, 8)
    found.write(tmp_path)
    assert read_gallery(tmp_path).facts == found.facts


def test_many_classes_are_chosen_evenly_among_those_with_images() -> None:
    assert shown_classes([1] * 100) == [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]
    assert shown_classes([0, 1] * 10) == list(range(1, 20, 2))


def test_pictures_are_stretched_to_their_own_range() -> None:
    drawn = torch.randn(2, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    drawn[1] = 1000 * drawn[0] - 7  # the same picture in other units
    drawn[:, :, 0, 0] *= 1e4  # one wild pixel must not make the rest grey
    first, second = pictures(drawn)
    assert (first.int() - second.int()).abs().max() <= 1
    assert (int(first.min()), int(first.max())) == (0, 255)
    assert first.float().std() > 40
    assert pictures(torch.full((1, 2, 4, 4), 3.0)).unique().tolist() == [128]
    assert pictures(torch.rand(1, 3, 100, 50)).shape == (1, 3, 48, 24)


def test_both_files_give_the_gallery_again_and_disturb_nobody(
    folder: Path, net: nn.Module, real
) -> None:
    before = load(folder, validation=0, test=0).fingerprint
    found = make_gallery(folder, training=real)
    found.write(folder)
    again = read_gallery(folder)
    assert again.facts == found.facts
    for name in ("impression", "nearest", "achieved", "target", "similarity"):
        assert torch.equal(getattr(again, name), getattr(found, name)), name
    assert load(folder, validation=0, test=0).fingerprint == before
    grown = {"method": METHOD, "count": 48, "image_shape": GREY, "device": "cpu"}
    assert synthesize(net, out=folder, **grown).manifest["count"] == 48


def test_the_same_set_gives_the_same_files(folder: Path, tmp_path: Path, real) -> None:
    for name in ("a", "b"):
        make_gallery(folder, training=real).write(tmp_path / name)
    for file in ("transfer.json", "transfer.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def changed(path: Path, **values: object) -> None:
    write_checked(path, {**json.loads(path.read_text()), **values})


@pytest.mark.parametrize(
    "values",
    [
        {"classes": ["a"]},
        {"count": "many"},
        {"shown": [0, 9]},
        {"schema": 2},
        {"balance": None},
        {"achieved_peak": [0.1]},
        {"fingerprint": "0" * 16},
        {"impressions": []},
        {"groups": []},
    ],
)
def test_damaged_numbers_are_said(folder: Path, values: dict[str, object]) -> None:
    make_gallery(folder).write(folder)
    changed(folder / "transfer.json", **values)
    with pytest.raises(DataError, match=r"transfer\.json.*made again"):
        read_gallery(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"\x00" * 99, None])
@pytest.mark.parametrize("file", ["transfer.json", "transfer.safetensors"])
def test_damaged_files_are_said(folder: Path, file: str, content: bytes | None) -> None:
    make_gallery(folder).write(folder)
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(DataError, match="made again"):
        read_gallery(folder)


def test_a_synthesis_that_is_unfinished_or_damaged_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="no finished synthesis"):
        make_gallery(folder / "nowhere")
    manifest = (folder / MANIFEST).read_text()
    balance = json.loads(manifest)["balance"]
    for values in (
        {"classes": ["a"]},
        {"balance": {}},
        {"balance": {**balance, "asked": [40]}},
        {"balance": {**balance, "temperature": 0.0}},
        {"image_shape": [1]},
    ):
        changed(folder / MANIFEST, **values)
        with pytest.raises(DataError, match="damaged"):
            make_gallery(folder)
        (folder / MANIFEST).write_text(manifest)
    changed(folder / MANIFEST, similarity=[[1.0], [1.0, 2.0]])
    with pytest.raises(DataError, match="similarity"):
        make_gallery(folder)
    changed(folder / MANIFEST, similarity=None, image_shape=[1, 6, 7])
    with pytest.raises(DataError, match="under 'image'"):
        make_gallery(folder)
    (folder / MANIFEST).write_text(manifest)
    next(iter(present(folder, ROWS).values())).unlink()
    with pytest.raises(DataError, match="lacks the images from row 0 on"):
        make_gallery(folder)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("logits", float("nan"), "nan or inf"),
        ("image", float("inf"), "nan or inf"),
        ("beta", float("inf"), "nan or inf"),
        ("target", -0.5, "below 0"),
        ("asked", 4, r"asked classes outside 0\.\.3"),
        ("seconds", None, "nothing under 'seconds'"),
    ],
)
def test_rows_that_cannot_be_are_refused(folder: Path, name: str, value, said: str) -> None:
    path = present(folder, ROWS)[0, 16]
    held = read_file(path)
    if value is None:
        del held[name]
    else:
        held[name].view(-1)[3] = value
    path.unlink()
    write(folder, ROWS, 0, held)
    with pytest.raises(DataError, match=said):
        make_gallery(folder)


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ((torch.rand(3, 1, 5, 6), torch.zeros(3).long()), "wanted are floats"),
        ((torch.zeros(3, *GREY).byte(), torch.zeros(3).long()), "wanted are floats"),
        ((torch.rand(3, *GREY), torch.zeros(2).long()), "labels for 3"),
        ((torch.rand(3, *GREY), torch.full((3,), 4)), r"not all in 0\.\.3"),
        ((torch.rand(0, *GREY), torch.zeros(0).long()), "no training image"),
        ([], "no training image"),
    ],
)
def test_training_images_that_do_not_fit_are_refused(folder: Path, training, said: str) -> None:
    with pytest.raises(DataError, match=said):
        make_gallery(folder, training=training)


def test_a_place_that_cannot_be_written_to_is_said(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemFault, match="is a file, where a directory"):
        make_gallery(folder).write(tmp_path / "file")


def test_training_images_of_a_source_take_the_teachers_form() -> None:
    pieces = list(training_images("digits", (3, 12, 10)))
    images = torch.cat([image for image, _ in pieces])
    assert images.shape[1:] == (3, 12, 10)
    assert torch.equal(images[:, 0], images[:, 2])
    assert 0 <= float(images.min()) < float(images.max()) <= 1
    assert len(torch.cat([labels for _, labels in pieces])) == len(images)


def test_the_teacher_is_asked_once_more_and_left_as_it_was(tmp_path: Path) -> None:
    net = grey_net().train()
    synthesize(net, method=METHOD, count=4, image_shape=GREY, out=tmp_path, device="cpu")
    assert net.training
    assert not net._forward_hooks
    assert all(not part._forward_hooks for part in net.modules())
