"""A folder of drawn images of a few people, one folder for each, as verification wants them."""

from pathlib import Path

import numpy as np
from PIL import Image

PEOPLE, IMAGES, SIDE = 12, 5, 8


def people_in(folder: Path) -> Path:
    """Write them: noise around a picture of each; the last person has one image less."""
    draw = np.random.default_rng(0)
    for person in range(PEOPLE):
        place = folder / f"person{person:02}"
        place.mkdir(parents=True)
        middle = draw.integers(60, 196, (SIDE, SIDE))
        for image in range(IMAGES - (person == PEOPLE - 1)):
            noise = draw.integers(-60, 60, (SIDE, SIDE))
            Image.fromarray((middle + noise).astype(np.uint8)).save(place / f"{image}.png")
    return folder
