"""All outputs of a student's folder, where there is nothing but torch and Pillow.

    python with_torch.py FOLDER IMAGES.json OUTPUTS.pt

IMAGES.json is a list of image files. They are read by the folder's own predict.py; its program,
model.pt2, answers them in batches.
"""

import importlib.metadata
import importlib.util
import json
import runpy
import sys
from pathlib import Path

import torch

BATCH = 64
NOT_HERE = ("stillhouse", "onnxruntime", "numpy", "timm", "torchvision", "safetensors")


def main(folder: Path, images: Path, outputs: Path) -> None:
    """Write float32 [N, D]; print what is installed, as JSON."""
    there = [name for name in NOT_HERE if importlib.util.find_spec(name) is not None]
    if there:
        raise SystemExit(f"this environment is not bare: {', '.join(there)} can be imported")
    torch.set_num_threads(1)
    pixels = runpy.run_path(str(folder / "predict.py"))["pixels"]
    takes = json.loads((folder / "config.json").read_text("utf-8"))["stillhouse"]["input"]
    program = torch.export.load(folder / "model.pt2").module()
    rows = torch.cat([pixels(name, takes) for name in json.loads(images.read_text("utf-8"))])
    with torch.no_grad():
        torch.save(torch.cat([program(part) for part in rows.split(BATCH)]), outputs)
    installed = {one.name: one.version for one in importlib.metadata.distributions()}
    print(json.dumps(dict(sorted(installed.items()))))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
