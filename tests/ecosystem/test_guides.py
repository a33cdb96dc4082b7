"""What the guides show is run, page by page and from top to bottom, at a small size."""

import re
import shutil
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from drawn_people import people_in
from pages import DOCS, Block, blocks
from PIL import Image
from safetensors.torch import save_file

import stillhouse as sh
from stillhouse.cli import main

pytestmark = pytest.mark.ecosystem

GUIDES = [*sorted((DOCS / "start").glob("*.md")), *sorted((DOCS / "guides").glob("*.md"))]
SMALLER = {
    "timm:resnet50": "timm:test_resnet",
    "timm:resnet18": "timm:test_resnet",
    "resnet56": "convnet-4-8",
    "resnet50": "convnet-4-8",
    "resnet20": "convnet-4-8",
    "resnet8": "convnet-4-8",
    "mobilenet_v2": "convnet-4-8",
    "convnet-8-16": "convnet-4-4",
    "convnet-16-32-64": "convnet-4-8",
    "decoder-128-4-4": "decoder-8-1-2",
    "decoder-64-2-4": "decoder-8-1-2",
    "source: cifar100": "source: photos",
    "size: 224": "size: 24",
    "size: 96, load_size: 128": "size: 16, load_size: 24",
    "size=32": "size=16",
    "24_000": "24",
    "24000": "24",
    "48000": "48",
    "vocabulary: 8000, max_length: 64": "vocabulary: 300, max_length: 8",
    "[150, 180, 210]": "[0.2, 0.4, 0.6]",
    "warmup: 5": "warmup: 0.1",
    "start: pretrained, epochs: 10, lr_scale: 0.1": "epochs: 1",
}
"""What a page shows, and what is small, quick and on this machine."""
LIMIT = 96
DIGITS = f'data={{"source": "digits", "limit": {LIMIT}}}, batch=16, precision="fp32", compile=False'
SETTINGS = ("batch=16", "precision=fp32", "compile=false")
RECIPE = "data: digits\nteacher: resnet20\nstudent: convnet-8-16\n"
ELSEWHERE = ("pip", "torchrun", "accelerate")
"""Lines of other programs; two processes are tried in tests/runs/test_two_processes.py."""


def small(text: str) -> str:
    names = sorted(SMALLER, key=len, reverse=True)
    text = re.sub("|".join(map(re.escape, names)), lambda m: SMALLER[m[0]], text)
    text = re.sub(r"\b(epochs[= ]|epochs: |seeds[= ]|seeds: )\d+", r"\g<1>1", text)
    text = text.replace('"epochs": 20', '"epochs": 1').replace('data="digits"', DIGITS)
    return text.replace('"data": "digits"', f'"data": {{"source": "digits", "limit": {LIMIT}}}')


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs on digits, as earlier pages leave them."""
    place = tmp_path_factory.mktemp("guides")
    for name in ("first", "second"):
        sh.distill(data={"source": "digits", "limit": LIMIT}, teacher="convnet-4-8",
                   student="convnet-4-4", epochs=1, seeds=1, batch=16, precision="fp32",
                   compile=False, quiet=True, out=place / "runs" / name)  # fmt: skip
    return place


@pytest.fixture
def place(tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with all that the pages take for given."""
    shutil.copytree(finished / "runs", tmp_path / "runs")
    draw = np.random.default_rng(0)
    for name in ("ash", "elm", "oak"):
        middle = draw.integers(60, 196, (24, 24, 3))
        (tmp_path / "photos" / name).mkdir(parents=True)
        for at in range(12):
            noise = draw.integers(-60, 60, (24, 24, 3))
            picture = Image.fromarray((middle + noise).astype(np.uint8))
            picture.save(tmp_path / "photos" / name / f"{at}.png")
    Image.fromarray(draw.integers(0, 256, (8, 8)).astype(np.uint8)).save(tmp_path / "IMAGE.png")
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(tmp_path / "IMAGE.png", tmp_path / name)  # what an image is, its content says
    people_in(tmp_path / "people")
    state = sh.models.build_model("convnet-4-8", classes=3).state_dict()
    kept = {"opt": Namespace(model_s="resnet56"), "model": state}  # as RepDistiller writes them
    torch.save(kept, tmp_path / small("resnet56_last.pth"))
    state = timm.create_model("test_resnet", num_classes=3).state_dict()
    save_file(state, tmp_path / small("resnet50-photos.safetensors"))
    (tmp_path / "recipe.yaml").write_text(small(RECIPE))
    lines = [f"{word} film number {at},{at % 2}" for at, word in enumerate(["good", "bad"] * 60)]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *lines]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    return tmp_path


def command(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys) -> str:
    """Run it as a user would; gives what it said, which ends in no error."""
    monkeypatch.setattr(sys, "argv", ["stillhouse", *words])
    try:
        main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    assert code == 0, f"{' '.join(words)}\n{out}{err}"
    return out + err


def asked(words: list[str]) -> list[str]:
    """A command with settings that make it quick."""
    name, *_ = words
    more = [f"--set={each}" for each in SETTINGS]
    told = Path("recipe.yaml").read_text().split() if "recipe.yaml" in words else words
    if "digits" in told:
        more.append(f"--set=data.limit={LIMIT}")
    if name == "run":
        more += ["--set=epochs=1", "--set=seeds=1"]
    if name == "compare" and not words[1].startswith("runs/"):
        return [*words, *more, "--check"]
    if name == "bench":
        return [*words, "--seconds", "0.02", "--runtime", "torch"]
    return [*words, *more] if name in ("run", "distill", "check") else words


def run_block(block: Block, known: dict[str, object], monkeypatch, capsys) -> None:
    block = replace(block, text=small(block.text))
    if block.language == "python" and block.text.startswith("# mine.py"):
        Path("mine.py").write_text(block.text)
    elif block.language == "python":
        exec(compile(block.text, "page", "exec"), known)
    elif block.language == "yaml" and "student" in block.text:
        Path("recipe.yaml").write_text(block.text)
        command(asked(["check", "recipe.yaml"]), monkeypatch, capsys)
    elif block.language in ("sh", "bash"):
        kept = [line for line in block.text.splitlines() if not line.startswith(ELSEWHERE)]
        for words in replace(block, text="\n".join(kept)).commands:
            command(asked([word.strip('"') for word in words]), monkeypatch, capsys)


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_a_guide_does_what_it_says(page: Path, place: Path, monkeypatch, capsys) -> None:
    known: dict[str, object] = {"__name__": "page", "sh": sh}
    if "-o runs/first" in page.read_text():
        shutil.rmtree("runs")
    for block in blocks(page):
        run_block(block, known, monkeypatch, capsys)
