"""Texts with real networks of transformers: kinds by name, folders, weights, tokenisers."""

from pathlib import Path

import pytest
import torch

import stillhouse as sh
from stillhouse.deploy.export import export_student
from stillhouse.errors import ModelError, StillhouseError
from stillhouse.models import build_model
from stillhouse.models.family import TokenFacts

pytestmark = [pytest.mark.ecosystem, pytest.mark.programs]

BERT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32}  # fmt: skip
DISTIL = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}
GPT2 = {"n_embd": 16, "n_layer": 1, "n_head": 2}
TEXTS = [f"{how} film {n}" for n in range(12) for how in ("a good", "a bad", "a fine", "a dull")]


def data(folder: Path) -> str:
    path = folder / "texts.csv"
    rows = (f"{text},{'bad' if at % 2 else 'good'}" for at, text in enumerate(TEXTS))
    path.write_text("text,label\n" + "\n".join(rows) + "\n")
    return str(path)


TOKENS = {"tokenizer": "wordpiece", "vocabulary": 300, "max_length": 8}


def made(folder: Path, tokens: dict = TOKENS, **more: object) -> dict:
    return {
        "data": {"source": data(folder), "tokens": tokens},
        "task": "text_classification", "epochs": 1, "seeds": 1, "batch": 8,
        "precision": "fp32", "out": folder / "run", **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [("bert", BERT), ("roberta", BERT), ("distilbert", DISTIL), ("gpt2", GPT2),
     ("electra", {**BERT, "embedding_size": 16})],
)  # fmt: skip
def test_kinds_of_transformers_tell_sentences_apart(kind: str, arguments: dict) -> None:
    tokens = TokenFacts(vocabulary=300, length=8)
    net = build_model(f"hf:{kind}", classes=3, tokens=tokens, arguments=arguments).eval()
    ids, mask = torch.randint(5, 300, (2, 8)), torch.ones(2, 8, dtype=torch.int64)
    assert net(input_ids=ids, attention_mask=mask).logits.shape == (2, 3)


@pytest.mark.parametrize(
    "method",
    ["kd", "embedding_kd",
     {"name": "fitnet", "pairs": [["distilbert.transformer.layer.0", "bert.encoder.layer.1"]]}],
)  # fmt: skip
def test_one_architecture_teaches_another(tmp_path: Path, method: object) -> None:
    outcome = sh.distill(**made(
        tmp_path, teacher={"model": "hf:bert", "arguments": BERT, "epochs": 1},
        student={"model": "hf:distilbert", "arguments": DISTIL}, method=method,
    ))  # fmt: skip
    assert len(outcome.scores["models"]) == 3
    told = sh.load(tmp_path / "run").predict(["a good film"])
    assert told[0].label in ("good", "bad")


def test_a_folder_with_weights_and_a_tokeniser_of_its_own_is_a_teacher(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from stillhouse.data.text.tokens import trained_tokens

    folder = tmp_path / "teacher"
    tokens = trained_tokens(TEXTS, "wordpiece", vocabulary=310, max_length=8, lowercase=True)
    config = transformers.BertConfig(vocab_size=tokens.vocabulary, num_labels=2, **BERT)
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokens.content)
    both = {"tokenizer": "bpe", "vocabulary": 300, "max_length": 8, "teacher": str(folder)}
    outcome = sh.distill(**made(
        tmp_path, tokens=both, teacher=f"hf:{folder}:pretrained", student="bag-8",
    ))  # fmt: skip
    assert [each["role"] for each in outcome.scores["models"]] == ["teacher", "control", "student"]
    with pytest.raises(StillhouseError, match="a tokeniser of its own"):
        sh.distill(**made(
            tmp_path, tokens=both, teacher=f"hf:{folder}:pretrained",
            student="encoder-8-1-2", method={"name": "fitnet", "pairs": [
                ["layers.0", "bert.encoder.layer.1"]]}, out=tmp_path / "other",
        ))  # fmt: skip


def test_a_causal_model_teaches_another_and_vocabularies_must_agree(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    shared = made(
        tmp_path, task="language_model", student="decoder-8-1-2", method="token_kd",
        teacher={"model": "hf:gpt2", "arguments": GPT2, "epochs": 1},
    )  # fmt: skip
    outcome = sh.distill(**shared)
    assert outcome.scores["task"]["metric"]["name"] == "perplexity"
    folder = tmp_path / "other"
    config = transformers.GPT2Config(vocab_size=999, **GPT2)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    with pytest.raises(StillhouseError, match="over one vocabulary"):
        sh.distill(**{**shared, "teacher": f"hf:{folder}:pretrained", "out": tmp_path / "b"})


def test_what_transformers_does_not_know_is_refused() -> None:
    tokens = TokenFacts(vocabulary=300, length=8)
    with pytest.raises(ModelError, match="no kind of network of that name"):
        build_model("hf:bertt", classes=2, tokens=tokens)
    with pytest.raises(ModelError, match="has no setting 'hidden'"):
        build_model("hf:bert", classes=2, tokens=tokens, arguments={"hidden": 3})
    with pytest.raises(ModelError, match=r"cannot be built with arguments .*not a multiple of"):
        build_model("hf:bert", classes=2, tokens=tokens, arguments={**BERT, "hidden_size": 33})


def test_what_tokens_look_at_is_distilled_where_a_network_gives_it(tmp_path: Path) -> None:
    eager = {"attn_implementation": "eager"}
    taps = ["distilbert.transformer.layer.0.attention:1", "bert.encoder.layer.1.attention.self:1"]
    asked = made(
        tmp_path, teacher={"model": "hf:bert", "arguments": {**BERT, **eager}, "epochs": 1},
        student={"model": "hf:distilbert", "arguments": {**DISTIL, **eager}},
        method={"name": "at", "pairs": [taps]},
    )  # fmt: skip
    outcome = sh.distill(**asked)
    assert len(outcome.scores["models"]) == 3
    fused = {"model": "hf:distilbert", "arguments": DISTIL}
    with pytest.raises(StillhouseError, match="attn_implementation: eager"):
        sh.distill(**{**asked, "student": fused, "out": tmp_path / "fused"})
    with pytest.raises(ModelError, match="no attn_implementation 'eagre'"):
        build_model("hf:bert", classes=2, tokens=TokenFacts(300, 8),
                    arguments={**BERT, "attn_implementation": "eagre"})  # fmt: skip


@pytest.mark.parametrize(
    ("task", "student"),
    [("text_classification", "bag-8"), ("text_classification", "encoder-8-1-2"),
     ("text_classification", {"model": "hf:bert", "arguments": BERT}),
     ("language_model", "decoder-8-1-2"),
     ("language_model", {"model": "hf:gpt2", "arguments": GPT2})],
)  # fmt: skip
def test_students_of_texts_become_onnx_files_of_any_length(tmp_path: Path, task, student) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    causal = task == "language_model"
    method = {"name": "token_kd"} if causal else {"name": "kd"}
    sh.distill(**made(
        tmp_path, task=task, student=student, method=method, control=False,
        teacher={"model": "decoder-8-1-2" if causal else "bag-8", "epochs": 1},
    ))  # fmt: skip
    run = tmp_path / "run"
    lines = list(export_student(run, "onnx", None))
    assert "input_ids and attention_mask in" in lines[0]
    assert "any batch, 2 to 8 tokens" in lines[0]
    session = onnxruntime.InferenceSession(str(run / "student.onnx"))
    model = sh.load(run).model
    for rows, length in ((1, 2), (3, 5), (2, 8)):
        ids = torch.randint(5, 300, (rows, length)).clamp_max(
            sh.load(run).preprocess.vocabulary - 1
        )
        mask = torch.ones_like(ids)
        mask[0, length - 1 :] = 0
        (told,) = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        with torch.inference_mode():
            wanted = model(input_ids=ids, attention_mask=mask)
        wanted = getattr(wanted, "logits", wanted)
        if causal:
            wanted = torch.stack(
                [row[int(m.sum()) - 1] for row, m in zip(wanted, mask, strict=True)]
            )
        assert torch.allclose(torch.from_numpy(told), wanted, atol=1e-4)
    assert list(export_student(run, "onnx", None, check=True))
    for form in ("pt2", "torchscript", "hub"):
        assert list(export_student(run, form, None))
