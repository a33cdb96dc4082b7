"""All outputs of an ONNX file, where there is nothing but onnxruntime, NumPy and Pillow.

    python with_onnxruntime.py FILE.onnx CONFIG.json IMAGES.json OUTPUTS.npy

CONFIG.json is that of the student's folder: it says what images become. IMAGES.json is a list of
image files.
"""

import importlib.metadata
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

BATCH = 64
NOT_HERE = ("stillhouse", "torch", "onnx", "timm", "safetensors")


def pixels(path: str, takes: dict[str, Any]) -> np.ndarray:
    """One image as bytes [C, H, W], in the size that the file takes."""
    if takes["held"]:
        raise SystemExit("images that are held larger than they are shown: see predict.py")
    image = ImageOps.exif_transpose(Image.open(path))
    image = image.convert("L" if takes["channels"] == 1 else "RGB")
    size = takes["width"], takes["height"]
    if image.size != size:  # scaled so that it covers the size, and its middle
        scale = max(size[0] / image.width, size[1] / image.height)
        wide = max(round(image.width * scale), size[0])
        high = max(round(image.height * scale), size[1])
        left, top = (wide - size[0]) // 2, (high - size[1]) // 2
        image = image.resize((wide, high), Image.Resampling.BILINEAR)
        image = image.crop((left, top, left + size[0], top + size[1]))
    return np.asarray(image).reshape(size[1], size[0], takes["channels"]).transpose(2, 0, 1)


def main(file: Path, config: Path, images: Path, outputs: Path) -> None:
    """Write float32 [N, D]; print what is installed, as JSON."""
    there = [name for name in NOT_HERE if importlib.util.find_spec(name) is not None]
    if there:
        raise SystemExit(f"this environment is not bare: {', '.join(there)} can be imported")
    takes = json.loads(config.read_text("utf-8"))["stillhouse"]["input"]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    rows = np.stack([pixels(name, takes) for name in json.loads(images.read_text("utf-8"))])
    parts = [
        session.run(None, {"pixels": rows[start : start + BATCH]})[0]
        for start in range(0, len(rows), BATCH)
    ]
    np.save(outputs, np.concatenate(parts))
    installed = {one.name: one.version for one in importlib.metadata.distributions()}
    print(json.dumps(dict(sorted(installed.items()))))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
