"""Texts from files to networks: sources, tokens, and a run with all that hangs on it."""

import csv
import io
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import stillhouse as sh
from stillhouse.data.load import load
from stillhouse.data.text.sources import read_texts, texts_of
from stillhouse.data.text.tokenise import TokenSettings, tokenised
from stillhouse.data.text.tokens import given_tokens, trained_tokens
from stillhouse.deploy.sentences import Sentences
from stillhouse.errors import DataError, RecipeError
from stillhouse.models import build_model
from stillhouse.models.family import TokenFacts
from stillhouse.models.sentences.bag import BagOfEmbeddings, mean_over
from stillhouse.models.sentences.transformer import Transformer

pytestmark = pytest.mark.programs

GOOD = ["a fine film", "what a great story", "great and fine", "a warm and fine story"]
BAD = ["a dull film", "what a poor story", "poor and dull", "a cold and dull story"]
TEXTS = [text + f" number {n}" for n in range(6) for text in (*GOOD, *BAD)]
LABELS = [kind for _ in range(6) for kind in ("good",) * 4 + ("bad",) * 4]
TOKENS = {"tokenizer": "bpe", "vocabulary": 300, "max_length": 12}


def written(folder: Path, form: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"texts.{form}"
    if form == "parquet":
        pq.write_table(pa.table({"text": TEXTS, "label": LABELS}), path)
    elif form == "csv":
        rows = (f'"{text}",{label}' for text, label in zip(TEXTS, LABELS, strict=True))
        path.write_text("text,label\n" + "\n".join(rows) + "\n")
    else:
        rows = (json.dumps({"text": t, "label": n}) for t, n in zip(TEXTS, LABELS, strict=True))
        path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_texts_are_read_of_every_form_alike(tmp_path: Path, form: str) -> None:
    found = read_texts(written(tmp_path, form), None, None)
    assert found.classes == ("bad", "good")
    assert found.parts["train"].texts.tolist() == TEXTS
    assert found.parts["train"].labels.tolist() == [int(name == "good") for name in LABELS]


def test_datasets_and_folders_of_splits_are_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    whole = datasets.Dataset.from_dict({"sentence": TEXTS, "target": [0, 1] * 24})
    found = read_texts({"train": whole, "test": whole.select(range(4))}, None, None)
    assert len(found.parts["test"]) == 4
    pq.write_table(pa.table({"text": TEXTS, "label": LABELS}), tmp_path / "train.parquet")
    pq.write_table(pa.table({"text": TEXTS[:8], "label": LABELS[:8]}), tmp_path / "test.parquet")
    assert len(read_texts(tmp_path, None, None).parts["test"]) == 8


def test_a_text_is_text_whatever_it_looks_like(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\na fine film,good\n2024-01-01,bad\n")
    (tmp_path / "test.csv").write_text("text,label\n2024-01-01,good\n2025-12-31,bad\n")
    found = read_texts(tmp_path, None, None)
    assert found.parts["test"].texts.tolist() == ["2024-01-01", "2025-12-31"]
    (tmp_path / "dev.jsonl").write_text('{"text": "a", "label": "good"}\n')
    with pytest.raises(DataError, match=r"of .csv and, for a split, dev.jsonl"):
        read_texts(tmp_path, None, None)
    lines = tmp_path / "lines.txt"
    lines.write_bytes(b"\xef\xbb\xbfone\r\n\ntwo\xe2\x80\xa8lines\n")
    assert texts_of(lines) == ["one", "two\u2028lines"]


def test_a_text_that_is_not_utf8_is_refused_before_it_is_cut_into_tokens() -> None:
    with pytest.raises(DataError, match=r"'caf.udce9': a text is not UTF-8"):
        Sentences(length=12, pad=0, vocabulary=300).of("caf\udce9")


def test_a_column_of_splits_counts_in_a_folder_and_rows_are_those_of_the_file(
    tmp_path: Path,
) -> None:
    rows = ["a,good,train", "b,bad,train", "7,good,test", " ,bad,test"]
    (tmp_path / "all.csv").write_text("\n".join(["text,label,split", *rows[:3]]))
    found = read_texts(tmp_path, None, None)
    assert {split: part.texts.tolist() for split, part in found.parts.items()} == {
        "train": ["a", "b"],
        "test": ["7"],
    }
    (tmp_path / "all.csv").write_text("\n".join(["text,label,split", *rows]))
    with pytest.raises(DataError, match="row 3: the text"):
        read_texts(tmp_path, None, None)
    with pytest.raises(DataError, match="named for texts and for labels"):
        read_texts(tmp_path, "text", "text")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"text": ["a", None], "label": [0, 1]}, r"row 1: the text \(text\) is missing"),
        ({"text": ["a", " "], "label": [0, 1]}, r"row 1: the text \(text\) is empty"),
        ({"text": ["a", "b"], "label": [0, None]}, "row 1: the label is missing"),
        ({"text": ["a", "b"], "label": [0.5, 1.0]}, "wanted are whole numbers or names"),
        ({"one": ["a", "b"], "two": ["c", "d"], "label": [0, 1]}, "2 columns .* could hold"),
        ({"number": [1, 2], "label": [0, 1]}, "no column could hold the texts"),
        ({"text": ["a", "b"], "label": [1, 1]}, "one class only"),
    ],
)
def test_what_is_wrong_with_texts_is_said(tmp_path: Path, columns: dict, said: str) -> None:
    path = tmp_path / "texts.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(DataError, match=said):
        load(path, texts=True)


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_a_tokeniser_is_the_same_for_the_same_texts_and_cuts_and_fills(kind: str) -> None:
    one, two = (
        trained_tokens(TEXTS, kind, vocabulary=320, max_length=6, lowercase=True) for _ in "12"
    )
    assert one == two
    ids, lengths, cut = one.rows(["a fine film", "a warm and fine story number 3 of many"])
    assert ids.shape == (2, 6)
    assert cut == 1
    assert lengths.tolist()[1] == 6
    assert (ids[0, int(lengths[0]) :] == one.pad).all()
    said = one.tokenizer.decode(ids[0].tolist())
    assert said.strip() == "a fine film"
    passages, left = one.passages(TEXTS)
    whole = sum(len(one.tokenizer.encode(t, add_special_tokens=False).ids) + 1 for t in TEXTS)
    assert passages.numel() + left == whole


def test_ids_that_a_tokeniser_leaves_out_are_counted(tmp_path: Path) -> None:
    tokens = trained_tokens(TEXTS, "wordpiece", vocabulary=300, max_length=6, lowercase=True)
    content = json.loads(tokens.content)
    known = content["model"]["vocab"]
    last = max(known, key=known.get)
    known[last] = 900  # as where tokens were taken out of it
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    sparse = given_tokens(str(tmp_path), 6)
    assert sparse.vocabulary == len(sparse.names) == 901
    assert sparse.names[900] == last
    assert sparse.names[899] == "(899)"


def test_filling_changes_no_answer() -> None:
    tokens = TokenFacts(50, 12)
    ids = torch.randint(1, 50, (3, 12))
    mask = (torch.arange(12) < torch.tensor([[12], [5], [1]])).long()
    other = torch.where(mask.bool(), ids, 7)
    for name in ("bag-8", "encoder-8-2-2"):
        net = build_model(name, classes=2, tokens=tokens).eval()
        assert torch.allclose(net(ids, mask), net(other, mask), atol=1e-6)
    x = torch.randn(3, 12, 4)
    by_hand = torch.stack([row[: int(m.sum())].mean(0) for row, m in zip(x, mask, strict=True)])
    assert torch.allclose(mean_over(x, mask), by_hand, atol=1e-6)


def test_a_decoder_sees_nothing_of_what_comes() -> None:
    net = build_model("decoder-8-2-2", classes=50, tokens=TokenFacts(50, 12, causal=True)).eval()
    ids = torch.randint(1, 50, (2, 12))
    later = ids.clone()
    later[:, 7:] = 3
    one, two = (net(x, torch.ones_like(x)) for x in (ids, later))
    assert torch.allclose(one[:, :7], two[:, :7], atol=1e-6)
    assert not torch.allclose(one[:, 7:], two[:, 7:])


def answer_in_the_terminal(folder: Path, data: Path, command, monkeypatch) -> None:
    """Texts from a table, lines and stdin under one name of column; accuracy by hand."""
    run = folder / "run"
    student = sh.load(run)
    mine = student.predict(TEXTS)
    (folder / "more.txt").write_text("great and fine\n\npoor and dull\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("a fine film\n"))
    said = command("predict", run, data, folder / "more.txt", "-", "so so", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert [*rows[0]] == ["text", "class", "probability"]
    told = [*TEXTS, "great and fine", "poor and dull", "a fine film", "so so"]
    assert [row["text"] for row in rows] == told
    assert [row["class"] for row in rows[: len(TEXTS)]] == [each.label for each in mine]
    lined = command("predict", run, "so so", "--format", "json").out
    assert json.loads(lined)["text"] == "so so"
    right = sum(each.label == name for each, name in zip(mine, LABELS, strict=True))
    evaluated = command("evaluate", run, "--data", data)
    assert f"accuracy {100 * right / 48:.2f}% on 48 texts" in evaluated.out
    for wrong, words in (
        (["predict", run, data, "--text", "label2"], "has no column 'label2'"),
        (["predict", run, folder / "none.csv"], "there is no file"),
        (["evaluate", run, "--data", data, "--image", "x"], "--image is of a student of images"),
        (["export", run, "--int8"], "int8 is of students of images"),
    ):
        refused = command(*wrong)
        assert refused.code == 2
        assert words in refused.err
    long = folder / "long.csv"
    long.write_text("text,label\n" + " ".join(["fine"] * 90) + ",good\ndull,bad\n")
    assert "1 of them are longer than the student reads" in command(
        "evaluate", run, "--data", long
    ).out  # fmt: skip


def test_a_run_of_texts_ends_with_a_student_that_answers(
    tmp_path: Path, command, monkeypatch
) -> None:
    data = written(tmp_path / "data", "jsonl")
    made = {
        "data": {"source": str(data), "tokens": TOKENS},
        "task": "text_classification",
        "teacher": {"model": "encoder-16-1-2", "epochs": 1},
        "student": "bag-16",
        "batch": 16,
        "optimizer": {"name": "adamw", "lr": 0.02},
        "precision": "fp32",
        "epochs": 4,
        "seeds": 1,
        "cache": "always",
    }
    outcome = sh.distill(out=tmp_path / "run", **made)
    told = outcome.scores["models"]
    assert [each["role"] for each in told] == ["teacher", "control", "student"]
    assert told[2]["runs"][0]["test"]["last"] > 0.5
    student = sh.load(tmp_path / "run")
    good, bad = student.predict(["great and fine", "poor and dull"])
    assert {good.label, bad.label} <= {"good", "bad"}
    tokens = given_tokens(str(tmp_path / "run" / "student"), 12)
    shown = tokens.rows(["great and fine"])
    mask = (torch.arange(12) < shown[1][:, None]).long()
    wanted = student.model(shown[0].long(), mask)
    assert torch.allclose(good.output, wanted[0], atol=1e-5)
    program = torch.export.load(tmp_path / "run" / "student" / "model.pt2").module()
    both = torch.stack([shown[0].long(), mask], 1)
    assert torch.allclose(program(both.expand(3, -1, -1))[0], wanted[0], atol=1e-5)
    answer_in_the_terminal(tmp_path, data, command, monkeypatch)
    costs = json.loads((tmp_path / "run" / "costs.json").read_text())
    assert costs["networks"][1]["parameters"] == 300 * 16 + 16 * 2 + 2


def test_the_recipes_of_the_page_pass_their_check(tmp_path: Path, command) -> None:
    """Those of ten lines, as they stand in docs/text.md, on a table of the name that they give."""
    page = (Path(__file__).parents[2] / "docs" / "text.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    written(tmp_path, "csv").rename(tmp_path / "reviews.csv")
    for number, block in enumerate(blocks):
        assert len(block.splitlines()) <= 10
        small = re.sub(r"128-4-4|64-2-4", "8-1-2", block.replace("8000", "300")).replace("64", "8")
        (tmp_path / f"{number}.yaml").write_text(f"{small}batch: 4\n")
        checked = command("check", f"{number}.yaml")
        assert checked.code == 0, checked.err


def test_what_does_not_fit_texts_is_refused(tmp_path: Path) -> None:
    data = {"source": str(written(tmp_path / "data", "csv")), "tokens": TOKENS}
    made = {
        "data": data, "task": "text_classification", "epochs": 1, "seeds": 1,
        "teacher": "encoder-16-1-2", "student": "bag-16", "out": tmp_path / "run",
    }  # fmt: skip
    theirs = tmp_path / "theirs.json"
    theirs.write_text(
        trained_tokens(TEXTS, "wordpiece", vocabulary=300, max_length=9, lowercase=True).content
    )
    apart = {**data, "tokens": {**TOKENS, "teacher": str(theirs)}}
    hint = {"name": "fitnet", "pairs": [["embedding", "layers.0"]]}
    for change, said in (
        ({"student": "resnet8"}, "reads images, and the rows of these data are texts"),
        ({"data": {**data, "size": 8}}, "size is about images"),
        ({"data": {**data, "augment": ["flip"]}}, "augment .flip. is about images"),
        ({"data": {**data, "tokens": {"tokenizer": "no/such"}}}, "tokenizer: there is no"),
        ({"data": {**data, "tokens": {**TOKENS, "teacher": "no/such"}}},
         r"data\.tokens\.teacher: there is no 'no/such'; .*save_pretrained\(FOLDER\)\)$"),
        ({"method": "token_kd"}, "task: text_classification has one answer for a row"),
        ({"task": "language_model", "student": "decoder-8-1-2", "teacher": "decoder-8-1-2",
          "method": {"name": "token_kd", "beta": 0.7}}, "beta is 0.7, and it weighs the mixture"),
        ({"data": {**data, "unseen": 1}}, "choose classes of images"),
        ({"student": {"model": "bag-16", "quantise": "int8"}}, "of networks that read images"),
        ({"method": "fitnet"}, "name them, as pairs"),
        ({"data": apart, "method": hint}, "a tokeniser of its own"),
        ({"task": "language_model", "student": "decoder-8-1-2", "teacher": "decoder-8-1-2",
          "method": "kd"}, "take method: token_kd"),
        ({"student": BagOfEmbeddings(100, 4, 2)}, "holds 100 ids and is asked for id 299"),
        ({"student": Transformer(vocabulary=300, length=5, width=8, depth=1, heads=2, classes=2)},
         "student"),
        ({"task": "language_model", "student": "bag-8", "teacher": "decoder-8-1-2",
          "method": "token_kd"}, "take decoder-WIDTH"),
        ({"task": "classification", "data": {**data, "source": "digits"}, "teacher": "resnet8",
          "student": "resnet8"}, "of a task that reads texts"),
    ):  # fmt: skip
        with pytest.raises((DataError, RecipeError, sh.StillhouseError), match=said):
            sh.distill(**{**made, **change})


def test_a_teacher_of_another_tokeniser_reads_its_own_tokens(tmp_path: Path) -> None:
    theirs = tmp_path / "tokenizer.json"
    other = trained_tokens(TEXTS, "wordpiece", vocabulary=310, max_length=12, lowercase=True)
    theirs.write_text(other.content)
    data = written(tmp_path / "data", "csv")
    splits = tokenised(load(data, texts=True), TokenSettings(**TOKENS, teacher=str(theirs)))
    shown = splits.train.show(torch.arange(3), view=-1, seed=0)
    assert "teacher_input_ids" in shown
    outcome = sh.distill(
        data={"source": str(data), "tokens": {**TOKENS, "teacher": str(theirs)}}, epochs=1,
        task="text_classification", teacher={"model": "bag-8", "epochs": 1}, student="bag-16",
        method="embedding_kd", seeds=1, out=tmp_path / "run", precision="fp32",
    )  # fmt: skip
    sizes = {each["role"]: each["parameters"] for each in outcome.scores["models"]}
    assert sizes["teacher"] == other.vocabulary * 8 + 8 * 2 + 2
    assert sizes["student"] == 300 * 16 + 16 * 2 + 2
