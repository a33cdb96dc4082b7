"""A picture of the head of a study's page for the docs, from its result file, by the test of today.

    python benchmarks/study_picture.py cifar100-methods catalogue

Needs a Chromium; the page is the one that a study writes.
"""

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from marks import result
from result_files import picture
from stillhouse.report.study_page import render_study
from tables.restored import restored

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
COLOURS = 64
"""Of the picture: text, two hues and their blends with the ground."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", help="name of a result file of a study")
    parser.add_argument("name", help="of the picture")
    parser.add_argument("--width", type=int, default=1200)
    parser.add_argument("--height", type=int, default=1975)
    asked = parser.parse_args()
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        parser.exit(2, "no Chromium was found on the path\n")
    record = restored(result(f"{asked.result}.json")).model_copy(update={"name": asked.result})
    with tempfile.TemporaryDirectory() as kept:
        page, shot = Path(kept) / "page.html", Path(kept) / "shot.png"
        page.write_text(render_study(record), "utf-8")
        size = f"--window-size={asked.width},{asked.height}"
        more = (size, "--virtual-time-budget=5000", f"--screenshot={shot}", page.as_uri())
        subprocess.run([browser, *FLAGS, *more], check=True, capture_output=True, timeout=120)
        Image.open(shot).convert("RGB").quantize(COLOURS).save(picture(asked.name), optimize=True)


if __name__ == "__main__":
    main()
