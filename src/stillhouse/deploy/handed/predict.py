"""Say what the student sees in images: python predict.py IMAGE... (needs torch and Pillow).

A student of verification says of two images whether they show the same.
"""

import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
NO_PIXELS = ("EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG", "FPX", "MIC", "IPTC")


def pixels(path: str, takes: dict[str, Any]) -> torch.Tensor:
    """One image as bytes [1, C, H, W], as config.json says what the program takes."""
    size, held = (takes["width"], takes["height"]), takes["held"]
    if not Path(path).is_file():  # a pipe would be waited for
        raise OSError("there is no such file")
    Image.init()  # EPS and WMF would start another program
    kinds = [kind for kind in Image.OPEN if kind not in NO_PIXELS]
    with Image.open(path, formats=kinds) as file:
        if file.mode.startswith(("I", "F")):
            raise ValueError(f"mode {file.mode} has more than 8 bits per channel; convert it")
        image: Any = ImageOps.exif_transpose(file)
    if "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode == "LAB":
        image = image.convert("RGB")
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
    if wide * high > 2**27:
        raise ValueError(f"{image.width} x {image.height} is too long for its width; cut it")
    left, top = (wide - size[0]) // 2, (high - size[1]) // 2
    image = image.resize((wide, high), Image.Resampling.BILINEAR)
    return image.crop((left, top, left + size[0], top + size[1]))


def student() -> tuple[dict[str, Any], Any]:
    """config.json and the program, which is compared with its checksum."""
    try:
        config = json.loads((HERE / "config.json").read_text(encoding="utf-8"))["stillhouse"]
        content = (HERE / "model.pt2").read_bytes()
        if hashlib.sha256(content).hexdigest() != config["sha256"]["model.pt2"]:
            raise ValueError("model.pt2 was damaged or changed since it was written")
        return config, torch.export.load(io.BytesIO(content)).module()
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"{HERE} is no whole folder of a student ({error}); take it anew")


def main(names: list[str]) -> int:
    """Print a class and its probability for each image, or its embedding; of two: the same?"""
    config, program = student()
    streams: Any = (sys.stdout, sys.stderr)
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")  # names that the terminal cannot show
    unreadable, found = 0, []
    for name in names:
        try:
            given = pixels(name, config["input"])
        except Exception as error:  # decoders raise what they like
            why = getattr(error, "strerror", None) or error
            print(f"{name} cannot be read: {why}", file=sys.stderr)
            unreadable = 3
            continue
        with torch.no_grad():
            (output,) = program(given)
        found.append(output)
        name = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in name)
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
