"""Token-level KD: a language model learns from another, and is told by its perplexity."""

from pathlib import Path

import stillhouse as sh


def test_a_language_model_learns_from_another(tmp_path: Path) -> None:
    data = tmp_path / "texts.csv"
    words = ["the cat sat", "the dog ran", "a cat ran", "a dog sat"]
    data.write_text("text\n" + "\n".join(f"{word} and {other}" for word in words * 12
                                         for other in words) + "\n")  # fmt: skip
    outcome = sh.distill(
        data=str(data), task="language_model", method={"name": "token_kd", "divergence": "jsd"},
        data_options={"tokens": {"tokenizer": "bpe", "vocabulary": 300, "max_length": 16}},
        teacher={"model": "decoder-16-1-2", "epochs": 3}, student="decoder-8-1-2", epochs=2,
        seeds=1, batch=16, optimizer={"name": "adamw", "lr": 0.02}, precision="fp32",
        out=tmp_path / "run",
    )  # fmt: skip
    tested = [each["runs"][0]["test"]["last"] for each in outcome.scores["models"]]
    assert all(1 < value < 100 for value in tested)
    assert outcome.scores["task"]["metric"]["name"] == "perplexity"
    (told,) = sh.load(tmp_path / "run").predict(["the cat"])
    assert told.output.shape == (len(sh.load(tmp_path / "run").classes),)
