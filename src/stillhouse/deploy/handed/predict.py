"""Say what the student sees in images: python predict.py IMAGE... (needs torch and Pillow).

A student of verification says of two images whether they show the same.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent


def pixels(path: str, takes: dict[str, Any]) -> torch.Tensor:
    """One image as bytes [1, C, H, W], as config.json says what the program takes."""
    size, held = (takes["width"], takes["height"]), takes["held"]
    image: Any = ImageOps.exif_transpose(Image.open(path))
    if "transparency" in image.info:
        image = image.convert("RGBA")
    image = image.convert("L" if takes["channels"] == 1 else "RGB")
    image = covering(image, (held, held) if held else size)
    if held:
        image = covering(image, (takes["resize"], takes["resize"]))
        left, top = (round((takes["resize"] - side) / 2) for side in size)
        image = image.crop((left, top, left + size[0], top + size[1]))
    values = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return values.view(1, size[1], size[0], takes["channels"]).permute(0, 3, 1, 2)


def covering(image: Any, size: tuple[int, int]) -> Any:
    """Scaled so that it covers a width and a height, and its middle of that size."""
    if image.size == size:
        return image
    scale = max(size[0] / image.width, size[1] / image.height)
    wide = max(round(image.width * scale), size[0])
    high = max(round(image.height * scale), size[1])
    left, top = (wide - size[0]) // 2, (high - size[1]) // 2
    image = image.resize((wide, high), Image.Resampling.BILINEAR)
    return image.crop((left, top, left + size[0], top + size[1]))


def main(names: list[str]) -> int:
    """Print a class and its probability for each image, or its embedding; of two: the same?"""
    config = json.loads((HERE / "config.json").read_text(encoding="utf-8"))["stillhouse"]
    program = torch.export.load(HERE / "model.pt2").module()
    unreadable, found = 0, []
    for name in names:
        try:
            given = pixels(name, config["input"])
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            print(f"{name} cannot be read: {error}", file=sys.stderr)
            unreadable = 3
            continue
        with torch.no_grad():
            (output,) = program(given)
        found.append(output)
        if config["output"] == "embedding" and len(names) == 2 and config["threshold"] is not None:
            if len(found) == 2:
                cosine, from_on = float(found[0] @ found[1]), config["threshold"]
                said = "same" if cosine >= from_on else "different"
                print(f"{said}\tcosine {cosine:.4f}\tthreshold {from_on:.4f}")
        elif config["output"] == "embedding":
            print(f"{name}\t{' '.join(f'{value:.6f}' for value in output.tolist())}")
        else:
            probability, row = output.softmax(0).max(0)
            print(f"{name}\t{config['classes'][row]}\t{probability:.4f}")
    return unreadable


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) if sys.argv[1:] else __doc__)
