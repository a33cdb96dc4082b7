"""Images per second of each augmentation: 32 x 32 RGB in batches of 128, on one core.

python benchmarks/augmentation.py
"""

import statistics
import time

import torch

from result_files import keep
from stillhouse.data.augment import Augment
from stillhouse.recipes.data import augment_words

ARMS = (
    ["crop", "flip"], ["crop", "flip", "cutout"], ["rotate", "scale"], ["blur"], ["resized_crop"],
    ["jitter"], ["erase"], ["randaugment"], ["trivial"],
    ["resized_crop", "flip", "jitter", "erase", "trivial"],
)  # fmt: skip
BATCH, SIDE, ROUNDS, BATCHES = 128, 32, 9, 10


def images_per_second(augment: Augment) -> float:
    """The median of some rounds."""
    made = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (BATCH, SIDE, SIDE, 3), generator=made).to(torch.uint8)
    index, taken = torch.arange(BATCH), []
    for round_ in range(ROUNDS + 1):
        start = time.perf_counter()
        for batch in range(BATCHES):
            augment.view(images, seed=0, index=index, view=round_ * BATCHES + batch)
        taken.append(time.perf_counter() - start)
    return BATCHES * BATCH / statistics.median(taken[1:])


def main() -> None:
    torch.set_num_threads(1)
    found: dict[str, float] = {}
    for words in ARMS:
        augment = Augment((0.5,) * 3, (0.25,) * 3, **augment_words(words))
        found[", ".join(words)] = round(images_per_second(augment), -2)
        print(f"{', '.join(words):50} {found[', '.join(words)]:>10,.0f}")
    keep("augmentation", "images per second, 32 x 32 RGB, batches of 128, one core", arms=found)


if __name__ == "__main__":
    main()
