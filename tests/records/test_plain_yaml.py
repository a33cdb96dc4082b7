"""Plain YAML: words and numbers of YAML 1.2, and every text that can do harm is one sentence."""

import random
from pathlib import Path

import pytest
import yaml

from stillhouse.errors import RecipeError
from stillhouse.records.plain_yaml import LARGEST, read_yaml_file, read_yaml_text, yaml_text

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, 30)
)


def refused(text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        read_yaml_text(text, where="r.yaml")
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("on", "on"), ("y", "y"), ("true", True), ("1e-3", 0.001), ("-.5", -0.5),
        ("5.0e-4", 5e-4), ("010", 10), ("0x1f", 31), ("1:30", "1:30"), ("2026-01-01", "2026-01-01"),
        ("~", None), ("", None), ("'3'", "3"), (".inf", float("inf")), ("+3", 3), ("1.", 1.0),
        ("1_000", "1_000"), ("[no, 1]", ["no", 1]),
    ],
)  # fmt: skip
def test_words_and_numbers_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = read_yaml_text(f"x: {text}", where="r.yaml")["x"]
    assert found == value
    assert type(found) is type(value)


def test_a_key_is_the_text_that_is_written() -> None:
    assert read_yaml_text("{1: a, no: b, 2.50: c}", where="") == {"1": "a", "no": "b", "2.50": "c"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epochs: 3\nbatch: 8\nepochs: 5", "lines 1 and 3 both give 'epochs'"),
        ("data: {limit: 1,\n  limit: 2}", "lines 1 and 2 both give 'limit'"),
        ("{1: a, '1': b}", "line 1 gives '1' twice"),
        ("[" * 3000 + "]" * 3000, "nested deeper than 50"),
        ("\n".join(" " * n + "a:" for n in range(3000)), "nested deeper than 50"),
        (BOMB, "stands for more than 100,000 values"),
        ("a: &a {b: *a}", "holds itself"),
        ("a:\n\t- 1", "line 2: a tab"),
        ("a: 1\n---\nb: 2", "line 2: it holds several documents"),
        ("? [a]\n: b", "a key is one word"),
        ("a: !!python/object/apply:os.getcwd []", "a tag (!...)"),
        ("a: !!timestamp 2026-01-01", "a tag (!...)"),
        ("a: !!bool maybe", "is not what its tag"),
        ("a: " + "9" * 5000, "a number of 5,000 digits"),
        ("a: 'b", "line 1: not plain YAML"),
        ("a: b: c", "line 1: not plain YAML"),
        ("a: *b", "undefined alias"),
        ("a: \x00", "belongs in no text"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_one_sentence(text: str, said: str) -> None:
    assert said in refused(text)


def test_all_keys_that_come_twice_are_told() -> None:
    with pytest.raises(RecipeError) as caught:
        read_yaml_text("a: 1\nb: 2\na: 3\nb: 4", where="r.yaml")
    assert len(caught.value.problems) == 2


def test_a_merged_key_is_no_second_one() -> None:
    text = "base: &b {a: 1, c: 3}\nown: {<<: *b, a: 2}"
    assert read_yaml_text(text, where="")["own"] == {"a": 2, "c": 3}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfea\x00", "line 1: it is no UTF-8 text (byte 0xff)"),
        (b"a: 1\nb: \xe9", "line 2: it is no UTF-8 text"),
        (b"a: 1\n" * LARGEST, "more than 1,048,576 bytes"),
    ],
)
def test_a_file_that_is_no_text(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes(content)
    with pytest.raises(RecipeError, match=r".*") as caught:
        read_yaml_file(tmp_path / "r.yaml")
    assert said in str(caught.value)


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes(b"\xef\xbb\xbfdata: digits\r\n")
    assert read_yaml_file(tmp_path / "r.yaml") == {"data": "digits"}


def test_what_is_written_is_read_as_it_was_by_all_readers() -> None:
    draw = random.Random(0)
    signs = "01e-.:_+ox~noytrufals<#'\"[]{}, \n\t\u00e9"
    for _ in range(300):
        words = ["".join(draw.choices(signs, k=draw.randint(0, 6))) for _ in range(4)]
        number = draw.choice([draw.random() * 10 ** draw.randint(-20, 20), draw.randint(-9, 9)])
        values = {words[0]: words[1:], "number": number, "none": None, "yes": True}
        text = yaml_text(values)
        assert read_yaml_text(text, where="") == values
        assert yaml.safe_load(text) == values
