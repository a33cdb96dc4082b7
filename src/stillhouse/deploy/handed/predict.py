"""Say what the student sees in images: python predict.py IMAGE... (needs torch and Pillow)."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent


def pixels(path: str, takes: dict[str, Any]) -> torch.Tensor:
    """One image as bytes [1, C, H, W]: scaled to cover height and width, its middle cut out."""
    height, width, channels = takes["height"], takes["width"], takes["channels"]
    image: Any = ImageOps.exif_transpose(Image.open(path))
    if "transparency" in image.info:
        image = image.convert("RGBA")
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        scale = max(width / image.width, height / image.height)
        wide, high = (
            max(round(image.width * scale), width),
            max(round(image.height * scale), height),
        )
        left, top = (wide - width) // 2, (high - height) // 2
        image = image.resize((wide, high), Image.Resampling.BILINEAR)
        image = image.crop((left, top, left + width, top + height))
    values = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return values.view(1, height, width, channels).permute(0, 3, 1, 2)


def main(names: list[str]) -> None:
    """Print a class and its probability for each image, or its embedding."""
    config = json.loads((HERE / "config.json").read_text(encoding="utf-8"))["stillhouse"]
    program = torch.export.load(HERE / "model.pt2").module()
    for name in names:
        with torch.no_grad():
            (output,) = program(pixels(name, config["input"]))
        if config["output"] == "embedding":
            print(f"{name}\t{' '.join(f'{value:.6f}' for value in output.tolist())}")
        else:
            probability, row = output.softmax(0).max(0)
            print(f"{name}\t{config['classes'][row]}\t{probability:.4f}")


if __name__ == "__main__":
    main(sys.argv[1:]) if sys.argv[1:] else print(__doc__)
