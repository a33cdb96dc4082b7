"""A run of texts that is stopped goes on bit for bit, and two processes train what one does."""

from pathlib import Path

import pytest
import torch
import yaml
from ranks import launch
from safetensors.torch import load_file
from stop_amid import StopAmid

import stillhouse as sh
from stillhouse.models.sentences import transformer
from stillhouse.recipes import load_recipe
from stillhouse.runs.run import prepare, run

pytestmark = pytest.mark.slow
RECIPE = """
data:
  source: texts.csv
  validation: 8
  test: 8
  tokens: {tokenizer: bpe, vocabulary: 300, max_length: 8}
task: text_classification
teacher: {model: bag-16, epochs: 1}
student: bag-8
epochs: 3
batch: 8
seeds: 1
control: false
precision: fp32
"""
PASSAGES = RECIPE.replace("text_classification", "language_model\nmethod: token_kd").replace(
    "bag-16", "decoder-16-1-2").replace("bag-8", "decoder-8-1-2")  # fmt: skip
SCRIPT = """
import os, sys
import torch
from stillhouse.cli.boundary import guarded
from stillhouse.cli.app import app
from stillhouse.models.sentences import transformer
transformer.DROPOUT = 0.0  # each process drops others
torch.set_num_threads(1)
os.chdir(sys.argv[1])
rank = os.environ.get("RANK", "0")
sys.stdout, sys.stderr = (
    open(f"{name}{rank}", "w", buffering=1) for name in ("out", "err")
)
sys.argv[1:] = ["run", "recipe.yaml", "-o", "runs/one"]
assert guarded(app, sys.argv[1:]) == 0
"""


def written(folder: Path, recipe: str = RECIPE) -> Path:
    folder.mkdir(exist_ok=True)
    rows = [f"a {'good' if at % 2 else 'bad'} film {at},{at % 2}" for at in range(48)]
    (folder / "texts.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    (folder / "recipe.yaml").write_text(recipe)
    return folder


FITNET = {"name": "fitnet", "pairs": [["layers.0", "layers.0"]]}


@pytest.mark.parametrize(
    ("recipe", "more"),
    [(RECIPE, {"student": "encoder-8-1-2"}),
     (RECIPE, {"student": "encoder-8-1-2", "method": FITNET, "cache": "always",
               "teacher": {"model": "encoder-16-1-2", "epochs": 1}}),
     (PASSAGES, {}),
     (PASSAGES, {"method": {"name": "token_kd", "logits": "pieces"}})],
    ids=["classes", "hidden states from a cache", "passages", "in pieces"],
)  # fmt: skip
def test_a_stopped_run_of_texts_goes_on_bit_for_bit(
    tmp_path: Path, monkeypatch, recipe: str, more: dict
) -> None:
    monkeypatch.chdir(written(tmp_path / "here"))
    made = {**yaml.safe_load(recipe), **more}
    made["data"] = {**made["data"], "source": "texts.csv"}
    whole = sh.distill(**made, out=tmp_path / "whole", shared=tmp_path / "a")
    stopped = {**made, "out": tmp_path / "cut", "shared": tmp_path / "b"}
    with pytest.raises(KeyboardInterrupt):
        sh.distill(**stopped, watcher=StopAmid(2))
    again = sh.distill(**stopped)
    mine, theirs = (load_file(each.directory / "student.safetensors") for each in (whole, again))
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


HIDDEN = RECIPE.replace("bag-16", "encoder-16-1-2").replace("bag-8", "encoder-8-1-2") + (
    "method: {name: at, pairs: [[layers.0, layers.0]]}\n"
)
KINDS = {"classes": RECIPE, "hidden": HIDDEN, "passages": PASSAGES.replace("batch: 8", "batch: 4")}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_train_what_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(transformer, "DROPOUT", 0.0)  # each process drops others
    short = KINDS[kind].replace("epochs: 3", "epochs: 1")
    monkeypatch.chdir(written(tmp_path / "one", short))
    run(prepare(load_recipe(Path("recipe.yaml")), tmp_path / "one/runs/one"))
    launch(2, SCRIPT, written(tmp_path / "two", short), seconds=400)
    mine, theirs = (
        load_file(tmp_path / each / "runs/one/student.safetensors") for each in ("one", "two")
    )
    assert mine.keys() == theirs.keys()
    assert all(torch.allclose(mine[name], theirs[name], atol=1e-4) for name in mine)
