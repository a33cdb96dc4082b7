"""Runs with peers: seeds of their own, fingerprints, one control for all, what is measured."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_net
from torch import nn

import stillhouse as sh
from stillhouse.errors import ModelError, RecipeError, RunError, WiringError
from stillhouse.models import weights_fingerprint
from stillhouse.recipes import make_recipe
from stillhouse.runs.run import Objects, prepare

SMALL, LARGE = "convnet-4-8", "convnet-8-16"
RUN = {
    "student": SMALL, "method": "dml", "epochs": 2, "batch": 32, "seeds": 2, "precision": "fp32",
}  # fmt: skip
TINY = {"limit": 160, "augment": "none"}


def mutual(out: Path, **settings):
    return sh.distill(**{"data": {"source": "digits", **TINY}, "out": out, **RUN, **settings})


def prepared(out: Path, objects: Objects | None = None, **settings):
    data = {"source": "digits", **TINY}
    return prepare(make_recipe({"data": data, **RUN, **settings}), out, objects=objects)


def test_a_run_from_recipe_to_scores(tmp_path: Path) -> None:
    outcome = mutual(tmp_path / "run", peers=[SMALL, LARGE])
    control, student = outcome.scores["models"]
    assert (control["role"], student["role"]) == ("control", "student")
    for run in student["runs"]:
        assert list(run["heads"]) == ["peer 1", "peer 2", "ensemble"]
        assert all(0 <= score["last"] <= 1 for score in run["heads"].values())
    assert all("heads" not in run for run in control["runs"]), "the control is the student alone"
    others = load_file(tmp_path / "run" / "trainings" / "seed0" / "others.safetensors")
    assert {key.partition("/")[0] for key in others} == {"peer1", "peer2"}
    assert "learned beside it" in outcome.report.read_text()


def test_controls_are_shared_whatever_the_peers(tmp_path: Path) -> None:
    mutual(tmp_path / "one")
    other = mutual(tmp_path / "two", peers=[LARGE])
    control, student = other.scores["models"]
    assert [run["reused"] for run in control["runs"]] == [True, True]
    assert [run["reused"] for run in student["runs"]] == [False, False]
    with pytest.raises(RunError, match="peers"):
        mutual(tmp_path / "one", peers=[LARGE])


def test_no_two_networks_start_alike(tmp_path: Path) -> None:
    job = prepared(tmp_path / "run", peers=3)
    found = {
        weights_fingerprint(module)
        for seed in (0, 1)
        for module in [job.student.make(seed), *job.peers.make(seed)]
    }
    assert len(found) == 8
    again = [weights_fingerprint(module) for module in job.peers.make(0)]
    assert again == [weights_fingerprint(module) for module in job.peers.make(0)]


def test_peers_decide_the_fingerprint(tmp_path: Path) -> None:
    jobs = [prepared(tmp_path / str(at), peers=peers) for at, peers in enumerate((1, 2, [LARGE]))]
    told = [str(job.peers.identity(job.peers.make(0))) for job in jobs]
    assert len(set(told)) == 3
    assert prepared(tmp_path / "plain", method="plain").peers.identity([]) == {}


def test_peers_as_objects(tmp_path: Path) -> None:
    made: list[int] = []

    def fresh() -> nn.Module:
        made.append(1)
        net = tiny_net(5, int(torch.randint(1000, ()).item()))
        net.conv = nn.Conv2d(1, 5, 3, padding=1)
        net.fc = nn.Linear(5, 10)
        return net

    outcome = mutual(tmp_path / "run", student=fresh, peers=2, seeds=1)
    assert list(outcome.scores["models"][1]["runs"][0]["heads"]) == ["peer 1", "peer 2", "ensemble"]
    assert made, "a peer of the student's own model is made as the student is"
    other = fresh()
    job = prepared(tmp_path / "other", Objects(peers=[other, None]), peers=["mine", LARGE])
    assert weights_fingerprint(job.peers.make(0)[0]) == weights_fingerprint(other)


def test_what_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(ModelError, match="peer 1 starts with the very weights of the student"):
        mutual(tmp_path / "twin", student=net)
    with pytest.raises(ModelError, match="no model 'convnt-4'; nearest: convnet"):
        prepared(tmp_path / "unknown", peers=["convnt-4"])
    with pytest.raises(RecipeError, match="1 objects are given for 2 peers"):
        prepared(tmp_path / "few", Objects(peers=[net]), peers=2)
    wrong = nn.Sequential(nn.Flatten(), nn.Linear(64, 7))
    with pytest.raises(WiringError, match=r"'peer1\.logits' is \[4, 7\] and does not fit"):
        prepared(tmp_path / "classes", Objects(peers=[wrong]), peers=["wrong"])
    assert not any(tmp_path.iterdir())
