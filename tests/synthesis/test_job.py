"""The directory: resumed, grown, refused, checked, and read as a data set."""

import json
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from tiny import GREY, grey_net
from torch import Tensor, nn

from stillhouse.data import FloatTable, load
from stillhouse.data.sources.synthesis import MANIFEST, ROWS, present, read_file
from stillhouse.errors import DataError, NonFiniteLoss, RunError
from stillhouse.records.checked import write_checked
from stillhouse.synthesis import Synthesis, store, synthesize
from stillhouse.synthesis.balance import read_counts
from stillhouse.synthesis.baselines import Sampling
from stillhouse.synthesis.inversion import Inversion
from stillhouse.synthesis.maker import Maker

METHOD = {"name": "zero_shot", "steps": 5, "lr": 0.05, "batch": 8}


def made(net: nn.Module, out: Path, **changed) -> Synthesis:
    asked = {"method": METHOD, "count": 20, "image_shape": GREY, "device": "cpu", **changed}
    return synthesize(net, out=out, **asked)


def images(folder: Path) -> Tensor:
    return torch.cat([read_file(path)["image"] for path in present(folder, ROWS).values()])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.safetensors"))


class Watcher:
    """An observer that counts batches."""

    def __init__(self) -> None:
        self.batches = 0
        self.begun: list[tuple[int, int]] = []

    def begin(self, stage: str, steps: int, done: int) -> None:
        self.begun.append((steps, done))

    def step(self, images: int) -> None:
        self.batches += 1

    def epoch(self, record, metric) -> None: ...


def test_a_killed_synthesis_goes_on_and_ends_with_the_same_bits(
    net: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at
) -> None:
    whole = made(net, tmp_path / "whole")
    with monkeypatch.context() as patched:
        kill_at(patched, store, "write", after=1)
        with pytest.raises(KeyboardInterrupt):
            made(net, tmp_path / "killed")
    assert len(names(tmp_path / "killed")) == 1, "the batch that was finished is there"
    with pytest.raises(DataError, match="is not finished"):
        load(tmp_path / "killed")
    watcher = Watcher()
    again = made(net, tmp_path / "killed", observer=watcher)
    assert watcher.begun == [(3, 1)]
    assert torch.equal(images(tmp_path / "killed"), images(tmp_path / "whole"))
    assert again.balance == whole.balance
    seconds = [name.rsplit("-", 1)[0] for name in names(tmp_path / "whole")]
    assert [name.rsplit("-", 1)[0] for name in names(tmp_path / "killed")] == seconds


def test_a_loss_that_is_not_finite_says_which_batches_are_kept(
    net: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Inversion.initial_images

    def broken(self, teacher, seed: int, rows: Tensor) -> Tensor:
        images = real(self, teacher, seed, rows)
        return images if int(rows[0]) < 8 else images * float("nan")

    monkeypatch.setattr(Inversion, "initial_images", broken)
    said = "term 'target' is not finite at step 0; batches that were finished before image 8 are"
    with pytest.raises(NonFiniteLoss, match=said) as caught:
        made(net, tmp_path)
    assert (caught.value.term, caught.value.step) == ("target", 0)
    assert len(names(tmp_path)) == 1, "they are"
    assert not any(part._forward_hooks for part in net.modules())


def test_asked_again_it_makes_nothing(net: nn.Module, tmp_path: Path, read_only) -> None:
    first, before = made(net, tmp_path), names(tmp_path)
    watcher = Watcher()
    read_only(tmp_path)
    again = made(net, tmp_path, observer=watcher)
    assert watcher.batches == 0
    assert names(tmp_path) == before
    assert again.manifest == first.manifest


def test_more_images_are_added_to_those_that_are_there(net: nn.Module, tmp_path: Path) -> None:
    made(net, tmp_path / "grown", count=8)
    kept = names(tmp_path / "grown")
    made(net, tmp_path / "grown", count=20)
    assert set(kept) < set(names(tmp_path / "grown"))
    made(net, tmp_path / "whole", count=20)
    assert torch.equal(images(tmp_path / "grown"), images(tmp_path / "whole"))
    with pytest.raises(RunError, match="holds 20 images and 8 are asked"):
        made(net, tmp_path / "grown", count=8)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": 1}, r"differs in seed \(there: 0, asked: 1\)"),
        ({"method": {**METHOD, "lr": 0.1}}, "differs in settings"),
        ({"method": "noise_uniform"}, "differs in method"),
        ({"classes": ["a", "b", "c", "d"]}, "differs in classes"),
    ],
)
def test_another_synthesis_is_refused(
    net: nn.Module, tmp_path: Path, changed: dict, said: str
) -> None:
    made(net, tmp_path)
    with pytest.raises(RunError, match=said):
        made(net, tmp_path, **changed)
    with pytest.raises(RunError, match="differs in teacher"):
        made(grey_net(seed=5), tmp_path)


def test_a_damaged_file_is_named_and_only_it_is_made_again(net: nn.Module, tmp_path: Path) -> None:
    made(net, tmp_path)
    whole = images(tmp_path)
    victim = present(tmp_path, ROWS)[8, 8]
    content = bytearray(victim.read_bytes())
    content[-3] ^= 1
    victim.write_bytes(content)
    with pytest.raises(DataError, match=rf"{victim.name} is damaged"):
        load(tmp_path)
    with pytest.raises(DataError, match="is damaged"):
        made(net, tmp_path)
    victim.unlink()
    made(net, tmp_path)
    assert torch.equal(images(tmp_path), whole)
    assert len(names(tmp_path)) == 3
    manifest = tmp_path / MANIFEST
    manifest.write_text(manifest.read_text().replace('"count": 20', '"count": 21'))
    for count in (20, 24):
        with pytest.raises(DataError, match=rf"{MANIFEST} is damaged.*delete it, and run the same"):
            made(net, tmp_path, count=count)
    assert len(names(tmp_path)) == 3, "nothing was made"
    manifest.unlink()
    made(net, tmp_path)
    assert torch.equal(images(tmp_path), whole)


def test_it_is_read_as_it_was_made(net: nn.Module, tmp_path: Path) -> None:
    test = (torch.randn(6, *GREY), torch.arange(6) % 4)
    done = made(net, tmp_path, test=test, count=40, classes=["a", "b", "c", "d"])
    splits = load(tmp_path, validation=0)
    assert splits.classes == ("a", "b", "c", "d")
    assert isinstance(splits.train, FloatTable)
    whole = images(tmp_path)
    assert torch.equal(splits.train.images.permute(0, 3, 1, 2), whole), "not re-quantised"
    assert torch.equal(splits.train.labels, net.eval()(whole).argmax(1))
    assert torch.equal(splits.test.images.permute(0, 3, 1, 2), test[0])
    assert (
        done.manifest["fingerprint"] == json.loads((tmp_path / MANIFEST).read_text())["fingerprint"]
    )


def test_without_a_test_set_rows_are_carved(net: nn.Module, tmp_path: Path) -> None:
    made(net, tmp_path, count=200, method={**METHOD, "batch": 200, "steps": 20})
    splits = load(tmp_path)
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 200
    assert all(isinstance(t, FloatTable) for t in (splits.train, splits.validation, splits.test))


def test_balance_is_counted_not_assumed(net: nn.Module, tmp_path: Path) -> None:
    done = made(net, tmp_path, count=40)
    held = [read_file(path) for path in present(tmp_path, ROWS).values()]
    target = torch.cat([one["target"] for one in held])
    asked = torch.cat([one["asked"] for one in held])
    logits = net.eval()(images(tmp_path))
    given = [int((logits.argmax(1) == k).sum()) for k in range(4)]
    assert done.balance["given"] == given
    assert done.balance["asked"] == [10] * 4
    assert done.balance["target_largest_is_asked"] == pytest.approx(
        float((target.argmax(1) == asked).double().mean())
    )
    achieved = torch.softmax(logits / 20, 1)
    assert done.balance["achieved_mean"] == pytest.approx(achieved.mean(0).tolist(), abs=1e-6)
    assert done.balance["target_mean"] == pytest.approx(target.mean(0).tolist(), abs=1e-6)
    assert torch.equal(torch.cat([one["logits"] for one in held]).argmax(1), logits.argmax(1))


def test_a_manifest_names_only_files_of_its_folder(net: nn.Module, tmp_path: Path) -> None:
    made(net, tmp_path / "good")
    manifest = json.loads((tmp_path / "good" / MANIFEST).read_text())
    manifest["files"]["rows"] = {"../good/" + name: n for name, n in
                                 manifest["files"]["rows"].items()}  # fmt: skip
    write_checked(tmp_path / "good" / MANIFEST, manifest)
    with pytest.raises(DataError, match="is no file of a synthesis"):
        load(tmp_path / "good")
    (tmp_path / "good" / MANIFEST).write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path / "good")


def test_maker_is_the_door_for_others(net: nn.Module, tmp_path: Path) -> None:
    mine = Sampling("mine", lambda subject, seed, rows: torch.zeros(len(rows), *GREY))
    assert isinstance(mine, Maker)
    made(net, tmp_path, method=mine, count=3)
    assert float(images(tmp_path).abs().max()) == 0.0


def test_the_files_have_their_names(net: nn.Module, tmp_path: Path) -> None:
    """Sets that were made with an earlier version are found again."""
    out = made(net, tmp_path / "out").directory
    told = json.loads((out / "asked.json").read_text())
    assert (told["method"], told["format"]) == ("zero_shot", 1)
    assert (out / "synthesis.json").is_file()
    held = read_file(next(iter(present(out, ROWS).values())))
    assert set(held) == {
        "image", "label", "logits", "target", "asked", "beta", "steps", "seconds",
    }  # fmt: skip


def test_training_a_generator_counts_among_the_seconds(
    net: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    class Slow(Sampling):
        @contextmanager
        def opened(self, subject, seed, work):
            clock[0] += 100.0  # a generator is trained
            with super().opened(subject, seed, work) as make:
                yield make

    def draw(subject, seed: int, rows: Tensor) -> Tensor:
        clock[0] += 3.0
        return torch.zeros(len(rows), *subject.image_shape)

    monkeypatch.setattr("stillhouse.synthesis.job.time.perf_counter", lambda: clock[0])
    slow = Slow("slow", draw)
    monkeypatch.setattr(Maker, "rows_at_once", lambda *_: 8)
    done = made(net, tmp_path / "slow", method=slow)
    assert done.manifest["seconds"] == pytest.approx(100 + 3 * 3, rel=1e-5)
    assert read_counts(done.directory, count=8).seconds == pytest.approx(103, rel=1e-5)
