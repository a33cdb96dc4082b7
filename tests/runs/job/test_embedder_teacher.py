"""A teacher that comes trained and has no classes, at a size of its own: an embedder of faces."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

import stillhouse as sh
from stillhouse.data.load import Splits, load
from stillhouse.data.samples import mean_std_of
from stillhouse.data.tables import ImageTable
from stillhouse.models import build_model
from stillhouse.tasks import Verification
from stillhouse.verification.pairs import all_pairs

pytestmark = pytest.mark.programs

NAME, SIZE = "convnet-4-6-e8", (12, 10)
METHOD = {"name": "embedding_kd", "kd_weight": 0, "label_weight": 0}


@pytest.fixture(scope="module")
def people() -> Splits:
    whole = load("digits").train

    def those(*classes: int) -> ImageTable:
        chosen = torch.isin(whole.labels, torch.tensor(classes))
        return ImageTable(whole.images[chosen][:64], whole.labels[chosen][:64])

    tables = [those(0, 1, 2, 3), those(4, 5), those(6, 7)]
    pairs = {"validation": all_pairs(tables[1].labels), "test": all_pairs(tables[2].labels)}
    names = tuple("01234567")
    return Splits("people", *tables, names[:4], "people-1", people=names, pairs=pairs)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Of the network without its classifier, as embedders are published."""
    torch.manual_seed(3)
    state = build_model(NAME, classes=1, channels=1, size=SIZE).state_dict()
    file = tmp_path_factory.mktemp("weights") / "embedder.safetensors"
    save_file({name: value for name, value in state.items() if not name.startswith("fc.")}, file)
    return file


def distil(people, weights, out, cache="always", **more):
    return sh.distill(
        data={"source": people, "augment": "none"},
        out=out,
        epochs=1,
        seeds=1,
        teacher={
            "model": NAME,
            "weights": str(weights),
            "head_path": "none",
            "input": {"pad": [1, 2, 1, 2], "mean": [0.5], "std": [0.5]},
        },
        task="verification",
        precision="fp32",
        batch=32,
        cache={"use": cache},
        compile=False,
        **{"student": {"model": NAME, "input": {"size": [7, 6]}}, "method": METHOD, **more},
    )


def test_students_learn_from_an_embedder_in_its_own_frame(people, weights, tmp_path) -> None:
    made = distil(people, weights, tmp_path / "cached")
    embedder = build_model(NAME, classes=1, channels=1, size=SIZE)
    embedder.fc = torch.nn.Identity()
    embedder.load_state_dict(load_file(weights), strict=True)
    shown = torch.zeros(64, 1, *SIZE)
    pixels = people.test.images.permute(0, 3, 1, 2)
    shown[:, :, 2:10, 1:9] = pixels.float() / 255
    with torch.no_grad():
        z = embedder.eval()((shown - 0.5) / 0.5)
    wanted = Verification().of_table({"embedding": z, "label": people.test.labels}, None)
    scored = {each["role"]: each["runs"][0] for each in made.scores["models"]}
    assert scored["teacher"]["test"]["last"] == pytest.approx(wanted["EER"], abs=1e-6)

    live = distil(people, weights, tmp_path / "live", cache="never")
    cached, other = (each.student.state_dict() for each in (made, live))
    for name, value in cached.items():
        assert torch.equal(value, other[name]), name
    products = json.loads((tmp_path / "cached/products.json").read_text())["products"]
    assert "it reads images [1, 7, 6] in [0, 1]" in products[0]["what"]
    mean, std = mean_std_of(people.train)
    assert f"minus mean ({mean[0]:.4f}), divided by std ({std[0]:.4f})" in products[0]["what"]
    costs = json.loads((tmp_path / "cached/costs.json").read_text())
    assert [each["name"] for each in costs["networks"]] == ["teacher", "student"]
    answers = sh.load(tmp_path / "cached").outputs(pixels[:3])
    assert answers.shape == (3, 8), "its folder builds it for images that are higher than wide"
    torch.testing.assert_close(answers.norm(dim=1), torch.ones(3))
