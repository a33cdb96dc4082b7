"""The pages in a real browser: nothing in the console, nothing cut, in light and dark."""

import base64
import csv
import io
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from browser import BROWSER, Browser
from PIL import Image
from study_of_twelve import study_of_twelve
from tiny import GREY, grey_net

from stillhouse.records.checked import write_checked
from stillhouse.report import palette, write_report, write_study_report, write_transfer_report
from stillhouse.synthesis import synthesize

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome")

FAULTS = Path(__file__).with_name("faults.js").read_text(encoding="utf-8")
KINDS = ("run", "study", "transfer set")
LOOKS = [(1280, "light"), (420, "dark")]
"""Each once: what is too wide is so in both themes, and what is pale in all widths."""
PAPER = 690
"""A4 without its margins, in pixels."""
FORMULA = '=HYPERLINK("http://there")'


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture
def page(request: pytest.FixtureRequest, tmp_path: Path, with_likeness: Any) -> Path:
    if request.param == "run":
        for model in with_likeness.scores["models"]:
            model["model"] += "</script><img src=x onerror=alert(1)>"
        return write_report(with_likeness.write())
    if request.param == "study":
        table = study_of_twelve()
        for at, arm in enumerate(table["arms"]):  # of several students, so that there is a front
            arm["student_model"] = f"convnet-{at % 3}"
            arm["costs"] = {"name": "student", "parameters": 1, "macs": 1, "file_bytes": 1,
                            "milliseconds": {"1": 2.0 ** (at % 3)}}  # fmt: skip
        table["arms"][0]["name"] = table["against"] = table["rivals"][0] = FORMULA
        write_checked(tmp_path / "study.json", table)
        return write_study_report(tmp_path)
    asked = {"count": 40, "image_shape": GREY, "classes": list("abcd"), "device": "cpu"}
    synthesize(grey_net(), method={"name": "zero_shot", "steps": 3}, out=tmp_path / "made", **asked)
    return write_transfer_report(tmp_path / "made")


@pytest.mark.parametrize("page", KINDS, indirect=True)
def test_a_page_is_whole_in_every_window_and_theme(browser: Browser, page: Path) -> None:
    browser.said.clear()
    browser.open(page)
    for width, scheme in LOOKS:
        browser.look(width=width, scheme=scheme)
        assert browser.value(FAULTS) == [], (width, scheme)
        colours = palette.DARK if scheme == "dark" else palette.LIGHT
        for part in ("body", ".plot .main-svg"):
            asked = f"getComputedStyle(document.querySelector('{part}')).background"
            assert browser.value(asked).startswith(rgb(colours["paper"])), (part, scheme)
    browser.look(width=PAPER, scheme="dark", media="print")
    browser.value("window.dispatchEvent(new Event('beforeprint'))")
    browser.settled()
    assert browser.value("document.documentElement.scrollWidth") <= PAPER
    for part in ("body", ".plot .main-svg"):
        asked = f"getComputedStyle(document.querySelector('{part}')).background"
        assert browser.value(asked).startswith(rgb(palette.LIGHT["paper"])), part
    assert browser.value("document.querySelectorAll('details:not([open])').length") == 0
    assert browser.said == []


def rgb(colour: str) -> str:
    red, green, blue = bytes.fromhex(colour[1:])
    return f"rgb({red}, {green}, {blue})"


@pytest.mark.parametrize("page", ["study"], indirect=True)
def test_tables_and_figures_leave_the_page(browser: Browser, page: Path) -> None:
    browser.said.clear()
    browser.open(page)
    rows = list(
        csv.reader(io.StringIO(browser.value("csv(tableRows(document.querySelector('.arms')))")))
    )
    heads, named = rows[0], {row[0]: row for row in rows[1:]}
    assert heads[:5] == ["Arm", "Arm (note)", "Test, %", "Test, % ±", "Over its control, points"]
    best = dict(zip(heads, named["teacher head 0.5"], strict=True))
    assert (best["Test, %"], best["Test, % ±"]) == ("97.64", "0.19")
    assert best["Over its control, points"] == "+0.54"
    assert best["Over its control, points low"], best["Over its control, points high"] == (
        "+0.32", "+0.75",
    )  # fmt: skip
    assert "'" + FORMULA in named, "a spreadsheet must not read it as a formula"
    assert {len(row) for row in rows} == {len(heads)}

    png = browser.value("pictureOf(plots()[0], 'png')")
    picture = Image.open(io.BytesIO(base64.b64decode(png.removeprefix("data:image/png;base64,"))))
    assert picture.width >= 2 * 640
    assert picture.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
    assert len(set(picture.convert("L").tobytes())) > 50, "something is drawn"
    svg = unquote(browser.value("pictureOf(plots()[0], 'svg')").partition(",")[2])
    assert FORMULA in "".join(ET.fromstring(svg).itertext())
    offered = browser.value(
        "[...document.querySelectorAll('.downloads button')].map((each) => each.textContent)"
    )
    assert offered.count("PNG") == offered.count("SVG") == 3
    assert offered.count("CSV") == browser.value("document.querySelectorAll('table').length")
    assert browser.said == []
