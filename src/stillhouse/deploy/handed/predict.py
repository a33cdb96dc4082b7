"""Say what the student sees in images: python predict.py IMAGE... (needs torch and Pillow)."""

import json
import sys
from pathlib import Path

import torch
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
CONFIG = json.loads((HERE / "config.json").read_text(encoding="utf-8"))["stillhouse"]
CLASSES, TAKES = CONFIG["classes"], CONFIG["input"]
HEIGHT, WIDTH, CHANNELS = TAKES["height"], TAKES["width"], TAKES["channels"]


def pixels(path: str) -> torch.Tensor:
    """One image as bytes [1, C, H, W]: scaled to cover height and width, its middle cut out."""
    image = ImageOps.exif_transpose(Image.open(path))
    if "transparency" in image.info:
        image = image.convert("RGBA")
    image = image.convert("L" if CHANNELS == 1 else "RGB")
    if image.size != (WIDTH, HEIGHT):
        scale = max(WIDTH / image.width, HEIGHT / image.height)
        wide = max(round(image.width * scale), WIDTH)
        high = max(round(image.height * scale), HEIGHT)
        left, top = (wide - WIDTH) // 2, (high - HEIGHT) // 2
        image = image.resize((wide, high), Image.Resampling.BILINEAR)
        image = image.crop((left, top, left + WIDTH, top + HEIGHT))
    values = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return values.view(1, HEIGHT, WIDTH, CHANNELS).permute(0, 3, 1, 2)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    program = torch.export.load(HERE / "model.pt2").module()
    for name in sys.argv[1:]:
        (output,) = program(pixels(name))
        if CONFIG["output"] == "embedding":
            print(f"{name}\t{' '.join(f'{value:.6f}' for value in output.tolist())}")
            continue
        probability, row = output.softmax(0).max(0)
        print(f"{name}\t{CLASSES[row]}\t{probability:.4f}")
