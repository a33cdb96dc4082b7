import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from plotly.graph_objects import Figure, Heatmap

from stillhouse.errors import SystemFault
from stillhouse.report import palette, write_report
from stillhouse.report.frame import own_text, page_data
from stillhouse.report.palette import contrast
from stillhouse.report.shades import SHADES

VOID = {"meta", "br", "link", "img", "input", "hr"}
HOSTILE = "<script>alert(1)</script>\" onload='alert(2)' <b>&amp;"
KEPT = {"role", "stage", "event", "created"}  # words that the reader acts on


class Page(HTMLParser):
    """The tags, attributes, scripts and visible text of a page; fails on unbalanced tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page(directory: Path) -> Page:
    return Page(write_report(directory).read_text(encoding="utf-8"))


def poisoned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: item if key in KEPT else poisoned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    return value + HOSTILE if isinstance(value, str) else value


def test_the_page_answers_the_colleagues_questions(run_directory: Path):
    text = page(run_directory).text

    assert "resnet20 → resnet8w8 on digits by kd" in text
    assert "Did it help? Yes, it helps +1.20 points 95% interval +0.87 to +1.54" in text
    assert "Yes: +1.20 points, for 3.2 times the training time." in text
    assert "Accuracy kept 98.7%" in text
    assert "6.3\u00d7 smaller" in text
    assert "96.20 ± 1.06" in text
    assert "21 November 2026, 06:00 UTC" in text
    assert "optimiser: {name: sgd, lr: 0.05" in text
    assert "torch 2.13.0" in text
    assert "sha256 9f86d081" in text
    assert "The test set was read once" in text
    assert "Not finished" not in text


def test_the_page_needs_no_other_file_and_holds_plotly_once(run_directory: Path):
    found = page(run_directory)
    data, plotly, own = found.scripts

    assert "plotly.js (basic - minified) v4.1.1" in plotly[:200]
    assert list(json.loads(data)["figures"]) == [
        value for name, value in found.attributes if name == "data-figure"
    ]
    assert len(json.loads(data)["figures"]) == 5
    assert not {"link", "img", "iframe", "object"} & set(found.tags)
    assert not [value for name, value in found.attributes if name in ("src", "href", "style")]
    assert (run_directory / "report.html").stat().st_size < 1_500_000
    policy = next(value for _, value in found.attributes if value and "default-src" in value)
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for script in (plotly, own):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_a_figure_that_the_pages_cannot_draw_is_refused():
    with pytest.raises(ValueError, match=r"'odd' has \{'heatmap'\}"):
        page_data({"odd": Figure(Heatmap(z=[[1.0]]))})


def test_every_text_is_escaped(made):
    clean = page(made.write())
    made.scores, made.products = poisoned(made.scores), poisoned(made.products)
    made.scores["data"]["class_names"] = [HOSTILE, "b"]
    made.scores["method"]["settings"][HOSTILE] = HOSTILE
    made.environment = {HOSTILE: HOSTILE, "group" + HOSTILE: {HOSTILE: HOSTILE}}
    made.recipe += HOSTILE
    metric = made.scores["task"]["metric"]["name"]
    for line in made.metrics:
        validation = line.get("validation", {}).items()
        line["validation"] = {key: {metric: each["accuracy"]} for key, each in validation}
        for part in ("terms", "weights"):
            if line["stage"] == "student":
                line[part] = {name + HOSTILE: value for name, value in line[part].items()}
    for run in made.model("student")["runs"]:
        run["heads"] = {HOSTILE: {"last": 0.9, "best": 0.9}}

    hostile = page(made.write())

    assert hostile.tags.count("script") == clean.tags.count("script")
    assert hostile.tags.count("b") == clean.tags.count("b")
    assert not [name for name, _ in hostile.attributes if name.startswith("on")]
    assert not [script for script in hostile.scripts if "<script>alert" in script]
    assert hostile.text.count("<script>alert(1)</script>") > 20


def test_a_run_that_has_only_begun_says_so(made):
    made.scores = made.products = made.environment = None
    made.metrics = []

    text = page(made.write()).text

    assert "run Not finished" in text
    assert "Not there yet: scores.json, metrics.jsonl, environment.json, products.json." in text
    assert "The run has not come to a verdict." in text
    assert "no epoch has been written yet" in text


def test_a_run_cut_short_shows_how_far_it_came(made):
    made.scores["finished"] = False
    made.scores["verdict"] = None
    nothing = {"last": None, "best": None}
    first = {**made.model("student")["runs"][0], "validation": nothing, "test": nothing}
    made.model("student")["runs"] = [first]
    made.metrics = made.metrics[:-75]

    text = page(made.write()).text

    assert "student, seed 0: epoch 15 done, validation accuracy 96.03%" in text
    assert (
        "student 1 seed resnet8w8 43,250 6.3\u00d7 fewer 175 kB 6.3\u00d7 smaller not finished"
        in text
    )


def test_a_verdict_before_the_end_is_provisional(made):
    made.scores["finished"] = False

    assert "So far: the run has not ended." in page(made.write()).text


def test_torn_lines_are_mentioned(run_directory: Path):
    path = run_directory / "metrics.jsonl"
    path.write_text("{torn\n" + path.read_text(encoding="utf-8"), encoding="utf-8")

    assert "1 unreadable line of metrics.jsonl left out" in page(run_directory).text


def test_a_lone_surrogate_does_not_stop_the_report(made):
    made.scores["title"] = "bad \ud800 title"

    assert "bad ? title" in page(made.write()).text


def test_the_same_run_gives_the_same_page(run_directory: Path):
    first = write_report(run_directory).read_bytes()

    assert write_report(run_directory).read_bytes() == first


def test_a_failed_write_leaves_the_old_report_and_nothing_else(
    run_directory: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write_report(run_directory)
    path.write_bytes(b"an old page")
    before, files = path.read_bytes(), sorted(run_directory.iterdir())

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(
        SystemFault, match=r"report\.html cannot be written, the disk is full \(No space"
    ):
        write_report(run_directory)

    assert path.read_bytes() == before
    assert sorted(run_directory.iterdir()) == files


def test_colours_of_the_page_are_those_of_the_theme(run_directory: Path):
    text = write_report(run_directory).read_text(encoding="utf-8")
    style = text[text.index("<style>") : text.index("</style>")]

    used = set(re.findall(r"var\(--([a-z0-9-]+)\)", style))
    assert used <= {*palette.LIGHT, "font", "mono"}
    assert set(palette.LIGHT) == set(palette.DARK)
    told = set(re.findall(r"#[0-9a-f]{6}", style))
    assert told == {*palette.LIGHT.values(), *palette.DARK.values()}


@pytest.mark.parametrize("colours", [palette.LIGHT, palette.DARK], ids=["light", "dark"])
def test_text_and_marks_stand_out_from_what_they_stand_on(colours: Mapping[str, str]):
    for ground in palette.GROUNDS:
        for word in palette.WORDS:
            assert contrast(colours[word], colours[ground]) >= 4.5, (word, ground)
    for mark in palette.MARKS:
        assert contrast(colours[mark], colours["paper"]) >= 3, mark
    style = own_text("page.css")
    shares = [int(share) for share in re.findall(r"var\(--accent\) (\d+)%, var\(--paper\)", style)]
    assert len(shares) == SHADES + 1
    for share in shares:
        mix = [round((share * int(a, 16) + (100 - share) * int(b, 16)) / 100) for a, b in zip(
            re.findall("..", colours["accent"][1:]), re.findall("..", colours["paper"][1:]),
            strict=True)]  # fmt: skip
        ground = "#" + "".join(f"{part:02x}" for part in mix)
        assert contrast(colours["ink"], ground) >= 4.5, share


def test_reading_a_report_module_is_cheap():
    code = (
        "import sys, stillhouse.report; "
        "print([name for name in ('plotly', 'jinja2', 'scipy') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_a_run_without_diagnostics_says_nothing_of_them(run_directory: Path):
    text = page(run_directory).text

    for heading in ("How alike", "What the projector does", "Other diagnostics"):
        assert heading not in text


def test_the_page_tells_what_they_mean(with_likeness):
    text = page(with_likeness.write()).text

    assert "How alike student and teacher became On validation images" in text
    assert "CKA of the embeddings 0.90, control 0.70" in text
    assert "Cosine of the embeddings 0.79 " in text
    assert "The control was never shown the teacher" in text
    assert "Heads, class by class" in text
    assert "Effective rank of 4" in text
    assert "Singular values over the largest, mean over the seeds; dotted: a tenth" in text
    assert "Other diagnostics" not in text


def test_without_a_control_nothing_is_said_of_it(with_likeness):
    with_likeness.scores["models"] = [
        m for m in with_likeness.scores["models"] if m["role"] != "control"
    ]
    with_likeness.metrics = [line for line in with_likeness.metrics if line["stage"] != "control"]
    text = page(with_likeness.write()).text

    assert "CKA of the embeddings 0.90" in text
    assert "never shown the teacher" not in text
    assert "control after its last epoch" not in text


def test_other_diagnostics_are_shown_by_their_names_and_escaped(with_likeness):
    for line in with_likeness.metrics:
        if line["stage"] == "student":
            line["diagnostics"] |= {"norm" + HOSTILE: 1.0 / line["epoch"], "both": [1.0, None, 3.0]}
            line["diagnostics"] |= {"lost": None, "all lost": [None, None]}
    with_likeness.scores["data"]["class_names"] = [HOSTILE] * 10
    plain = page(with_likeness.write())

    assert f"norm{HOSTILE}" in plain.text
    assert "both mean of the list" in plain.text
    assert not [script for script in plain.scripts if "<script>alert" in script]
    assert not [name for name, _ in plain.attributes if name.startswith("on")]
    assert plain.tags.count("b") == 1  # the gain
    for name in ("lost", "all lost"):
        assert f" {name} " not in plain.text.split("Other diagnostics")[1].split("Settings")[0]
