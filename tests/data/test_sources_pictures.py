import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from stillhouse.data.sources import pictures
from stillhouse.data.sources.pictures import picture_tables
from stillhouse.data.tables import ImageTable, SampleTable
from stillhouse.errors import DataError


class Held:
    """Encoded images in a list."""

    def __init__(self, *encoded):
        self.encoded = encoded

    def __len__(self):
        return len(self.encoded)

    def open(self, row):
        return io.BytesIO(self.encoded[row])

    def where(self, row):
        return f"held, row {row}"

    def fingerprint(self):
        return str(hash(self.encoded))


def encode(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def noise(mode="RGB", size=(6, 4), seed=0):
    width, height = size
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = (height, width) if bands == 1 else (height, width, bands)
    values = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Image.fromarray(values) if mode != "CMYK" else Image.frombytes(mode, size, values)


def tables(**parts):
    held = {split: Held(*images) for split, images in parts.items()}
    return picture_tables(held, {s: torch.arange(len(part)) for s, part in held.items()})


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "WEBP"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_lossless_pixels_come_back(kind, mode):
    images = [noise(mode, seed=seed) for seed in range(5)]
    options = {"lossless": True} if kind == "WEBP" else {}
    table = tables(train=[encode(image, kind, **options) for image in images])["train"]
    assert isinstance(table, ImageTable)
    expected = np.stack([np.asarray(image) for image in images]).reshape(5, 4, 6, -1)
    if (kind, mode) == ("WEBP", "L"):  # WebP has no grey
        expected = expected.repeat(3, axis=3)
    assert np.array_equal(table.images.numpy(), expected)


@pytest.mark.parametrize("side", [8, 128])  # below and above what is decoded in threads
def test_every_row_is_in_its_place(side):
    images = [noise("L", (side, side), seed) for seed in range(7)] * 90
    table = tables(train=[encode(image, compress_level=0) for image in images])["train"]
    expected = np.stack([np.asarray(image) for image in images])
    assert np.array_equal(table.images[..., 0].numpy(), expected)


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK"])
def test_other_colours_become_rgb(mode):
    image = noise("RGB").quantize(8) if mode == "P" else noise(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    table = tables(train=[encode(image, kind)])["train"]
    assert np.array_equal(table.images[0].numpy(), np.asarray(image.convert("RGB")))


def test_palette_with_transparent_entries():
    image = noise("RGB").quantize(4)
    table = tables(train=[encode(image, transparency=b"\x00\x80\xff\xff")])["train"]
    assert np.array_equal(table.images[0].numpy(), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["1", "LA"])
def test_other_greys_stay_grey(mode):
    image = noise("L").convert(mode)
    table = tables(train=[encode(image)])["train"]
    assert table.channels == 1
    assert np.array_equal(table.images[0, ..., 0].numpy(), np.asarray(image.convert("L")))


def test_grey_and_colour_become_colour_in_all_splits():
    grey, colour = noise("L"), noise("RGB")
    got = tables(train=[encode(grey)] * 2, test=[encode(grey), encode(colour)])
    assert got["train"].channels == got["test"].channels == 3
    assert np.array_equal(got["train"].images[1].numpy(), np.asarray(grey.convert("RGB")))
    assert np.array_equal(got["test"].images[1].numpy(), np.asarray(colour))


def test_several_sizes_are_read_lazily():
    sizes = [(6, 4), (5, 5)]
    images = [noise("RGB", size) for size in sizes]
    got = tables(train=[encode(images[0])] * 2, test=[encode(image) for image in images])
    assert all(isinstance(table, SampleTable) for table in got.values())
    assert [got["test"].read(row).size for row in range(2)] == sizes
    assert np.array_equal(np.asarray(got["test"].read(1)), np.asarray(images[1]))
    assert got["test"].dataset[1][1] == 1
    assert got["test"].fingerprint() != got["train"].fingerprint()


def test_lazy_images_share_one_mode():
    grey = tables(train=[encode(noise("L")), encode(noise("L", (5, 5)))])["train"]
    assert grey.read(0).mode == "L"
    mixed = tables(train=[encode(noise("L")), encode(noise("RGB", (5, 5)))])["train"]
    assert mixed.read(0).mode == "RGB"


def test_too_many_for_memory_are_read_lazily(monkeypatch):
    image = noise()
    monkeypatch.setattr(pictures, "IN_MEMORY", 3 * 24 * 4 - 1)
    assert isinstance(tables(train=[encode(image)] * 3)["train"], ImageTable)
    table = tables(train=[encode(image)] * 3, test=[encode(image)])["train"]
    assert isinstance(table, SampleTable)
    assert np.array_equal(np.asarray(table.read(2)), np.asarray(image))


def test_photographs_are_turned_upright():
    image = noise("RGB", (6, 4))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned = encode(image, "PNG", exif=exif)
    table = tables(train=[turned])["train"]
    assert (table.height, table.width) == (6, 4)
    assert np.array_equal(table.images[0].numpy(), np.rot90(np.asarray(image), k=-1))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "PPM"])
@pytest.mark.parametrize("size", [(40, 40), (120, 120)])
def test_cut_short_names_the_row(kind, size):
    whole = encode(noise(size=size), kind)
    with pytest.raises(DataError, match=r"held, row 2: the image cannot be read \(.*cut short"):
        tables(train=[whole, whole, whole[: len(whole) // 2]])


@pytest.mark.parametrize("junk", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_junk_names_the_row(junk):
    with pytest.raises(DataError, match="held, row 1") as caught:
        tables(train=[encode(noise()), junk])
    assert "0x" not in str(caught.value)


def test_damaged_lazy_image_is_named_when_it_is_read():
    whole = encode(noise(size=(40, 40)))
    table = tables(train=[whole, encode(noise()), whole[: len(whole) // 2]])["train"]
    with pytest.raises(DataError, match="held, row 2"):
        table.read(2)


def test_sixteen_bits_are_refused():
    deep = Image.fromarray(np.full((4, 6), 40000, dtype=np.uint16))
    with pytest.raises(DataError, match=re.escape("held, row 1: the image has mode I;16")):
        tables(train=[encode(noise("L")), encode(deep)])
