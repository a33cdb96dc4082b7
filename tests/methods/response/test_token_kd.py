"""Token-level KD: a language model learns from another, and is told by its perplexity."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

import stillhouse as sh
from stillhouse.errors import WiringError
from stillhouse.functional import numerics
from stillhouse.functional.token_heads import hidden_token_divergence, hidden_token_loss
from stillhouse.methods import token_kd
from stillhouse.models import build_model
from stillhouse.models.family import TokenFacts

READS = ["batch.input_ids", "batch.attention_mask"]


def test_a_language_model_learns_from_another(tmp_path: Path, command) -> None:
    data = tmp_path / "texts.csv"
    words = ["the cat sat", "the dog ran", "a cat ran", "a dog sat"]
    data.write_text("text\n" + "\n".join(f"{word} and {other}" for word in words * 12
                                         for other in words) + "\n")  # fmt: skip
    outcome = sh.distill(
        data={
            "source": str(data),
            "tokens": {"tokenizer": "bpe", "vocabulary": 300, "max_length": 16},
        },
        task="language_model",
        method={"name": "token_kd", "divergence": "jsd", "logits": "pieces"},
        teacher={"model": "decoder-16-1-2", "epochs": 3},
        student="decoder-8-1-2",
        epochs=2,
        seeds=1,
        batch=16,
        optimizer={"name": "adamw", "lr": 0.02},
        precision="fp32",
        out=tmp_path / "run",
    )
    tested = [each["runs"][0]["test"]["last"] for each in outcome.scores["models"]]
    assert all(1 < value < 100 for value in tested)
    assert outcome.scores["task"]["metric"]["name"] == "perplexity"
    student = sh.load(tmp_path / "run")
    ids, _ = student.preprocess.tokens.passages(data.read_text().splitlines()[1:])
    total = 0.0
    for row in ids.long():
        with torch.no_grad():
            logs = student.model(row[None], torch.ones(1, 16)).double().log_softmax(2)[0]
        total -= sum(float(logs[at, row[at + 1]]) for at in range(15))
    said = command("evaluate", tmp_path / "run", "--data", data).out
    wanted = math.exp(total / (15 * len(ids)))
    assert f"perplexity {wanted:.2f} on {15 * len(ids):,} tokens" in said
    (told,) = sh.load(tmp_path / "run").predict(["the cat"])
    assert told.output.shape == (len(sh.load(tmp_path / "run").classes),)


@pytest.mark.parametrize("kind", ["forward_kl", "reverse_kl", "jsd"])
def test_of_hidden_states_value_and_gradients_are_those_of_whole_logits(kind, monkeypatch) -> None:
    torch.manual_seed(0)
    shapes = (3, 5, 4), (11, 4), (3, 5, 6), (11, 6)
    mine, own, theirs, other = (torch.randn(each) for each in shapes)
    label = torch.randint(0, 11, (3, 5))
    label[0, 3:] = -100
    monkeypatch.setattr(numerics, "CHUNK", 33)  # three tokens at a time
    learns = [mine.clone().requires_grad_(), own.clone().requires_grad_()]
    found = hidden_token_divergence(*learns, theirs, other, label, kind=kind, beta=0.3).mean()
    found = found + hidden_token_loss(*learns, label).mean()
    slopes = torch.autograd.grad(found, learns)
    exact = [x.double().requires_grad_() for x in (mine, own)]
    logs = [(h @ w.T)[:, :-1].log_softmax(2)
            for h, w in (exact, (theirs.double(), other.double()))]  # fmt: skip
    p, q = logs
    r = (0.7 * p.exp() + 0.3 * q.exp()).log()
    each = {
        "forward_kl": q.exp() * (q - p),
        "reverse_kl": p.exp() * (p - q),
        "jsd": 0.3 * q.exp() * (q - r) + 0.7 * p.exp() * (p - r),
    }[kind].sum(2)
    each = each - p.gather(2, label[:, 1:, None].clamp_min(0))[..., 0]
    wanted = each[label[:, 1:] != -100].mean()
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)
    for slope, exactly in zip(slopes, torch.autograd.grad(wanted, exact), strict=True):
        assert torch.allclose(slope.double(), exactly, atol=1e-6)


def test_in_pieces_no_step_holds_logits_and_the_loss_is_the_same(monkeypatch) -> None:
    monkeypatch.setattr(numerics, "CHUNK", 300)
    torch.manual_seed(0)
    facts = TokenFacts(50, 12, causal=True)
    nets = [build_model(name, classes=50, tokens=facts).eval()
            for name in ("decoder-8-1-2", "decoder-16-1-2")]  # fmt: skip
    made: list[int] = []
    for net in nets:
        net.fc.register_forward_hook(lambda _m, _g, out: made.append(out.numel()))
    ids = torch.randint(0, 50, (4, 12))
    shown = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    told = []
    for logits in ("whole", "pieces"):
        stage = token_kd(*nets, logits=logits).with_inputs(READS)
        with stage.open(labels=ids, task="language_model", **shown) as objective:
            nets[0].eval().zero_grad()
            made.clear()
            out = objective(labels=ids, **shown)
            out.loss.backward()
            told.append([*map(float, out.values.detach()),
                         *(float(p.grad.norm()) for p in nets[0].parameters())])  # fmt: skip
            assert made == [4 * 12 * 50 * (logits == "whole")] * 2
    assert told[0] == pytest.approx(told[1], rel=1e-4, abs=1e-7)
    biased = nn.Sequential(nn.Linear(4, 4))
    with pytest.raises(WiringError, match="its head is a Linear with a bias"):
        token_kd(biased, biased, logits="pieces")


def test_of_hidden_states_vocabularies_must_agree() -> None:
    h, label = torch.zeros(1, 2, 3), torch.zeros(1, 2, dtype=torch.int64)
    with pytest.raises(WiringError, match="the student tells 5 tokens apart, the teacher 4"):
        hidden_token_divergence(h, torch.zeros(5, 3), h, torch.zeros(4, 3), label)
