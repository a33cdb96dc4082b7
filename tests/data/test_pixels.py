"""The one rule from whatever holds an image to pixels."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from stillhouse.data.pixels import to_pixels
from stillhouse.errors import DataError

GREY = np.array([[0, 128, 255], [7, 9, 11]], dtype=np.uint8)
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], 2)
ONE = GREY[None].tolist()
THREE = COLOUR.transpose(2, 0, 1).tolist()


def palette(mode="P"):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50] + [0] * 762)
    image.putdata([1, 0])
    return image.convert(mode) if mode != "P" else image


def with_alpha(values, mode):
    image = Image.fromarray(values)
    return image.convert({"L": "LA", "RGB": "RGBA"}[image.mode]).convert(mode)


BY_HAND = {
    "L": (Image.fromarray(GREY), ONE),
    "LA": (with_alpha(GREY, "LA"), ONE),
    "RGB": (Image.fromarray(COLOUR), THREE),
    "RGBA": (with_alpha(COLOUR, "RGBA"), THREE),
    "RGBa": (with_alpha(COLOUR, "RGBa"), THREE),
    "P": (palette(), [[[200, 10]], [[100, 20]], [[50, 30]]]),
    "1": (Image.fromarray(np.array([[True, False]])), [[[255, 0]]]),
    "CMYK": (Image.new("CMYK", (1, 1), (0, 255, 255, 0)), [[[255]], [[0]], [[0]]]),
    "YCbCr": (Image.new("YCbCr", (1, 1), (128, 128, 128)), [[[128]], [[128]], [[128]]]),
    "HSV": (Image.new("HSV", (1, 1), (0, 255, 255)), [[[255]], [[0]], [[0]]]),
    "array [H, W]": (GREY, ONE),
    "array [H, W, 1]": (GREY[..., None], ONE),
    "array [H, W, 3]": (COLOUR, THREE),
    "array that is mirrored": (COLOUR[:, ::-1][:, ::-1], THREE),
    "array that is read-only": (np.frombuffer(GREY.tobytes(), np.uint8).reshape(2, 3), ONE),
    "array of bool": (GREY > 100, [[[0, 255, 255], [0, 0, 0]]]),
    "tensor [H, W]": (torch.tensor(GREY), ONE),
    "tensor [C, H, W]": (torch.tensor(COLOUR).permute(2, 0, 1), THREE),
    "tensor of bool": (torch.tensor([[True, False]]), [[[255, 0]]]),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_pixels_are_those_of_hand(case):
    given, expected = BY_HAND[case]
    pixels = to_pixels(given)
    assert pixels.dtype == torch.uint8
    assert pixels.tolist() == expected


@pytest.mark.parametrize(
    "kind", [np.float16, np.float32, np.float64, np.dtype(">f4"), np.longdouble]
)
def test_floats_are_what_a_network_sees(kind):
    values = np.array([[[-2.0, 0.5, 1.0]]], dtype=kind)
    for given in (values, torch.tensor(values.astype(np.float64)).permute(2, 0, 1)):
        pixels = to_pixels(given)
        assert pixels.dtype == torch.float32
        assert pixels.tolist() == [[[-2.0]], [[0.5]], [[1.0]]]


WIDE = "nothing says which value is white"
REFUSED = {
    **{
        f"array of {kind}": (GREY.astype(kind), WIDE)
        for kind in ("int8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
    },
    "tensor of int64": (torch.tensor(GREY).long(), WIDE),
    "PIL I": (Image.fromarray(GREY.astype(np.int32)), "mode I, more than 8 bits"),
    "PIL I;16": (Image.fromarray(GREY.astype(np.uint16)), "mode I;16, more than 8 bits"),
    "PIL F": (Image.fromarray(GREY.astype(np.float32)), "mode F, more than 8 bits"),
    "floats 0 to 255": (COLOUR.astype(np.float32), "0 to 255, which look like grey levels"),
    "tensor 0 to 255": (torch.tensor(GREY).float(), "0 to 255, which look like grey levels"),
    "nan": (torch.full((1, 2, 2), torch.nan), "holds nan or inf"),
    "inf": (np.full((2, 2), np.inf), "holds nan or inf"),
    "channels first": (np.zeros((3, 8, 8), np.uint8), "in an array the channels come last"),
    "four first": (np.zeros((4, 8, 8), np.uint8), "in an array the channels come last"),
    "four last": (torch.zeros(8, 8, 4), "in a tensor the channels come first"),
    "channels last": (torch.zeros(8, 8, 3), "in a tensor the channels come first"),
    "complex": (np.zeros((2, 2), complex), "an array of complex128"),
    "text": ("a.png", "is a str; wanted is a PIL image"),
    "a batch": (torch.zeros(2, 3, 4, 4), "is a Tensor [2, 3, 4, 4]; wanted"),
    "no pixels": (np.zeros((0, 4, 3), np.uint8), "has no pixels"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_rule_refuses_is_a_sentence(case):
    given, said = REFUSED[case]
    with pytest.raises(DataError, match=re.escape(said)):
        to_pixels(given)
