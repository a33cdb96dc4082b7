"""From any image to what a program takes, against Pillow by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stillhouse.deploy.preprocessing import Preprocessing
from stillhouse.errors import DataError

pytestmark = pytest.mark.programs


def _wanted(channels: int, height: int, width: int) -> Preprocessing:
    return Preprocessing(
        pixels=True, channels=channels, height=height, width=width, size=(height, width)
    )


@pytest.mark.parametrize("size", [(8, 8), (6, 10), (10, 6)])
@pytest.mark.parametrize("given", [(20, 16), (9, 31), (5, 5)])
def test_an_image_covers_the_frame_and_its_middle_is_cut_out(
    size: tuple[int, int], given: tuple[int, int], tmp_path: Path
) -> None:
    values = np.random.default_rng(0).integers(0, 256, (*given, 3), dtype=np.uint8)
    picture = Image.fromarray(values)
    picture.save(tmp_path / "a.png")
    (high, wide), (tall, across) = given, size
    scale = max(across / wide, tall / high)
    scaled = picture.resize(
        (max(round(wide * scale), across), max(round(high * scale), tall)), Image.BILINEAR
    )
    left, top = (scaled.width - across) // 2, (scaled.height - tall) // 2
    by_hand = np.asarray(scaled.crop((left, top, left + across, top + tall)))
    preprocessing = _wanted(3, tall, across)
    for image in (tmp_path / "a.png", picture, values, torch.tensor(values).permute(2, 0, 1)):
        found = preprocessing.of(image)
        assert np.array_equal(found.permute(1, 2, 0).numpy(), by_hand)


def test_colour_becomes_grey_and_grey_colour_and_a_turned_photograph_stands_upright(
    tmp_path: Path,
) -> None:
    red = Image.new("RGB", (4, 2), (255, 0, 0))
    assert _wanted(1, 2, 4).of(red).unique().tolist() == [76]
    assert _wanted(3, 2, 4).of(red.convert("L")).unique().tolist() == [76]
    assert _wanted(3, 2, 4).of(red.convert("P")).amax((1, 2)).tolist() == [255, 0, 0]
    lying = Image.new("L", (4, 2), 0)
    lying.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees, clockwise
    lying.save(tmp_path / "turned.png", exif=exif)
    assert _wanted(1, 4, 2).of(tmp_path / "turned.png")[0, 0, 1] == 255


def test_what_is_no_image_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no")
    told = {"a.png": "cannot be read", "absent.png": "there is no file", "": "cannot be read"}
    for name, said in told.items():
        with pytest.raises(DataError, match=said) as found:
            _wanted(3, 4, 4).of(tmp_path / name)
        assert "Errno" not in str(found.value)
    behind = Preprocessing(pixels=False, channels=3, height=4, width=4, size=(4, 4))
    with pytest.raises(DataError, match="a transform of your own"):
        behind.of(torch.zeros(3, 4, 4))
