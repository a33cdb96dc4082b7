"""How good the face teacher is on LFW's own list of 6,000 pairs, before anybody learns from it.

    python benchmarks/face_teacher.py ../shared/data   # writes benchmarks/results/lfw-teacher.json

The images are 90 high and 90 wide, the teacher reads 112 x 96. How they are brought there (a scale
and the place in the frame, on black) is chosen on pairs of folds 1 to 5; the choice and the plain
middle are then measured on all pairs, with the mirrored image added and without. Numbers alone are
kept, no picture.
"""

import argparse
import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from result_files import keep
from stillhouse.models.mobilefacenet import SIZE, MobileFaceNet
from stillhouse.verification.curve import area, curve, equal_error_rate
from stillhouse.verification.folds import fold_accuracies, fold_accuracy
from stillhouse.verification.pairs import Floats, Pairs, flip_sum, pair_cosines
from stillhouse.verification.people import over_people
from stillhouse.verification.rates import smallest_far, tar_at_far, tars_at_far

FORMS = ((90, 0), (90, -3), (90, -5), (90, -7), (86, -4), (84, -5))
"""Side of the scaled image, and by how much its middle is above that of the frame."""
CHOSEN_ON, OF_EACH_KIND = 5, 150
FARS = 1e-2, 1e-3
BATCH = 64


class Faces:
    """Images of a list of pairs, and the pairs as rows of them."""

    def __init__(self, lfw: Path, rows: list[dict[str, str]]) -> None:
        names = sorted({row[side] for row in rows for side in ("first", "second")})
        place = {name: at for at, name in enumerate(names)}
        held = pq.read_table(lfw / "all.parquet").column("image").to_pylist()
        coded = {each["path"]: each["bytes"] for each in held}
        self.images = torch.stack([_pixels(coded[name]) for name in names])
        first, second = (
            np.array([place[row[side]] for row in rows]) for side in ("first", "second")
        )
        self.pairs = Pairs(first, second, np.array([row["same"] == "1" for row in rows]))
        self.fold = np.array([int(row["fold"]) for row in rows])
        people = np.array([name.rpartition("_")[0] for name in names])
        self.people = people[first], people[second]


def _pixels(coded: bytes) -> Tensor:
    picture = Image.open(io.BytesIO(coded)).convert("RGB")
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)


def formed(images: Tensor, side: int, up: int) -> Tensor:
    """Scaled to a side and laid on black, its middle above the middle of the frame by so many."""
    pixels = images.float()
    if side != pixels.shape[-1]:
        pixels = F.interpolate(pixels, (side, side), mode="bilinear", antialias=True)
    free = [whole - side for whole in SIZE]
    top, left = free[0] // 2 - up, free[1] // 2
    return F.pad(pixels, (left, free[1] - left, top, free[0] - top))


@torch.inference_mode()
def embeddings(
    network: MobileFaceNet, images: Tensor, form: tuple[int, int], mirror: bool
) -> Floats:
    """Of each image, or of its mirror image."""
    found = []
    for part in images.split(BATCH):
        face = (formed(part, *form) - 127.5) / 128
        face = (face.flip(-1) if mirror else face).contiguous(memory_format=torch.channels_last)
        found.append(network(face))
    return torch.cat(found).double().numpy()


def figures(faces: Faces, embedding: Floats, *, intervals: bool) -> dict[str, Any]:
    """What is measured, by its standard names."""
    score, same, fold = pair_cosines(embedding, faces.pairs), faces.pairs.same, faces.fold
    folds, roc = fold_accuracy(score, same, fold), curve(score, same)
    fars = [far for far in FARS if far >= smallest_far(roc)]  # what so many pairs can show
    found: dict[str, Any] = {
        "accuracy": round(folds.mean, 5),
        "deviation over folds": round(folds.deviation, 5),
        "EER": round(float(equal_error_rate(roc)), 5),
        "AUC": round(float(area(roc)), 5),
    }
    for far in fars:
        reached = tar_at_far(roc, far)
        found[f"TAR at FAR {far:g}"] = round(reached.tar, 5)
        found[f"pairs accepted at FAR {far:g}"] = reached.accepted
    if intervals:
        measures = {
            "accuracy": lambda weight: fold_accuracies(score, same, fold, weight),
            **{
                f"TAR at FAR {far:g}": lambda weight, far=far: tars_at_far(
                    curve(score, same, weight), far
                )
                for far in fars
            },
        }
        found["95 % interval over people"] = {
            name: [round(end, 5) for end in (told.low, told.high)]
            for name, measure in measures.items()
            if (told := over_people(measure, *faces.people, resamples=500))
        }
    return found


def first_of_each(rows: Iterable[dict[str, str]], count: int) -> list[dict[str, str]]:
    """The first rows of each fold and kind."""
    seen: dict[tuple[str, str], int] = {}
    kept = []
    for row in rows:
        kind = row["fold"], row["same"]
        seen[kind] = seen.get(kind, 0) + 1
        kept += [row] if seen[kind] <= count else []
    return kept


def main() -> None:
    """Choose on the first folds, measure on all."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("data", type=Path, help="the folder with lfw and mobilefacenet")
    data = asked.parse_args().data
    network = MobileFaceNet()
    network.load_state_dict(load_file(data / "mobilefacenet" / "model.safetensors"))
    network.eval().to(memory_format=torch.channels_last)
    with (data / "lfw" / "pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    early = [row for row in rows if int(row["fold"]) <= CHOSEN_ON]
    some = Faces(data / "lfw", first_of_each(early, OF_EACH_KIND))
    tried = {}
    for form in FORMS:
        found = figures(some, embeddings(network, some.images, form, False), intervals=False)
        tried[form] = found
        print(form, found, flush=True)
    best = max(tried, key=lambda form: (tried[form]["accuracy"], tried[form]["AUC"]))
    faces, results = Faces(data / "lfw", rows), {}
    for form in dict.fromkeys((FORMS[0], best)):
        plain = embeddings(network, faces.images, form, False)
        both = flip_sum(plain, embeddings(network, faces.images, form, True))
        results[told(form)] = {
            "one image": figures(faces, plain, intervals=True),
            "mirrored image added": figures(faces, both, intervals=True),
        }
        print(told(form), results[told(form)], flush=True)
    chosen = {told(form): found for form, found in tried.items()}
    keep(
        "lfw-teacher",
        "the MobileFaceNet teacher on LFW's 6,000 pairs, images brought to 112 x 96 on black, in "
        "float32",
        forms_on_folds_1_to_5=chosen,
        pairs_of_the_choice=len(some.fold),
        chosen=told(best),
        pairs=len(faces.fold),
        on_all_pairs=results,
    )


def told(form: tuple[int, int]) -> str:
    """A form in words, with its pads: left, top, right, bottom."""
    side, up = form
    free = [whole - side for whole in SIZE]
    top, left = free[0] // 2 - up, free[1] // 2
    return f"side {side}, pad {[left, top, free[1] - left, free[0] - top]}"


if __name__ == "__main__":
    main()
