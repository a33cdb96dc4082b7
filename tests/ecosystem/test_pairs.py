"""Pairs of layers of two real networks, with expectations written by hand."""

import math

import pytest
import torch
from ecosystem.architectures import LAYERS
from torch import Tensor

from stillhouse.pairing import heard_maps, levels, propose

pytestmark = pytest.mark.ecosystem

R, M = "timm resnet26d", "torchvision mobilenet_v2"
VIT, SMALL_VIT = "timm vit_tiny_patch16_224", "transformers ViT"

# By resolution, (student, teacher): pairs as the shapes in the table of architectures say.
BY_LEVELS = {
    ("torchvision resnet18", R):
        "relu-act1 layer1-layer1 layer2-layer2 layer3-layer3 layer4-layer4",
    (M, R): "features.1-act1 features.3-layer1 features.6-layer2 features.13-layer3 "
            "features.17-layer4",
    (SMALL_VIT, VIT): "vit.layers.1-blocks.3 vit.layers.3-blocks.7 vit.layers.5-blocks.11",
    ("timm convnext_atto", "torchvision swin_t"):
        "stages.0-features.1 stages.1-features.3 stages.2-features.5 stages.3-features.7",
    ("torchvision resnet18", "torchvision swin_t"):
        "layer1-features.1 layer2-features.3 layer3-features.5 layer4-features.7",
    ("torchvision resnet18", VIT): "layer2-blocks.3 layer3-blocks.7 layer4-blocks.11",
    (SMALL_VIT, "torchvision resnet18"):
        "vit.layers.1-layer2 vit.layers.3-layer3 vit.layers.5-layer4",
}  # fmt: skip


@pytest.fixture(scope="module")
def networks():
    made = {}

    def get(name: str):
        if name not in made:
            torch.manual_seed(0)
            made[name] = LAYERS[name].make().eval()
        return made[name]

    return get


@pytest.mark.parametrize(("student", "teacher"), BY_LEVELS)
def test_pairs_by_resolution(student: str, teacher: str, networks) -> None:
    torch.manual_seed(1)
    found = propose(networks(student), networks(teacher), torch.randn(3, 3, 64, 64))
    assert " ".join(f"{a}-{b}" for a, b in found) == BY_LEVELS[student, teacher]


@pytest.mark.parametrize(("student", "teacher"), BY_LEVELS)
def test_pairs_by_likeness_have_the_largest_sum_in_order(
    student: str, teacher: str, networks
) -> None:
    """Beside all choices in order, tried by recursion, with linear CKA in double precision."""
    torch.manual_seed(1)
    mine, theirs, image = networks(student), networks(teacher), torch.randn(4, 3, 64, 64)
    found = propose(mine, theirs, image, by="auto")
    heard, known = heard_maps(mine, image), heard_maps(theirs, image)
    table = [
        [cka(heard[each.tap], value) for value in known.values()] for each in levels(mine, image)
    ]
    assert [a for a, _ in found] == [each.tap for each in levels(mine, image)]
    places = [list(known).index(b) for _, b in found]
    assert places == sorted(set(places))
    told = sum(row[at] for row, at in zip(table, places, strict=True))
    assert told == pytest.approx(best(table), abs=1e-3)


@pytest.mark.parametrize("name", [R, VIT, SMALL_VIT, "torchvision swin_t"])
def test_a_copy_pairs_with_itself(name: str, networks) -> None:
    """Each level is most alike to itself, so a teacher that is the student gives these pairs."""
    torch.manual_seed(1)
    same, image = networks(name), torch.randn(4, 3, 64, 64)
    taps = [each.tap for each in levels(same, image)]
    assert propose(same, same, image, by="auto") == tuple(zip(taps, taps, strict=True))


def best(table: list[list[float]], start: int = 0) -> float:
    """The largest sum of one entry of each row, to the right of that of the row before."""
    known: dict[tuple[int, int], float] = {}

    def from_here(row: int, start: int) -> float:
        if row == len(table):
            return 0.0
        if (row, start) not in known:
            known[row, start] = max(
                (table[row][at] + from_here(row + 1, at + 1)
                 for at in range(start, len(table[row]))),
                default=-math.inf,
            )  # fmt: skip
        return known[row, start]

    return from_here(0, start)


def cka(a: Tensor, b: Tensor) -> float:
    """<AA', BB'> / (|AA'| |BB'|) of centred rows; a row is a position of at most 4 x 4."""
    side = min(a.shape[2], b.shape[2], 4)
    x, y = (
        torch.nn.functional.adaptive_avg_pool2d(each.double(), side).movedim(1, -1).flatten(0, 2)
        for each in (a, b)
    )
    mine, theirs = (each @ each.T for each in (x - x.mean(0), y - y.mean(0)))
    return float((mine * theirs).sum() / (mine.norm() * theirs.norm()))
