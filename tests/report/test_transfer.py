"""The section of a transfer set on a run's page, the page of one, and accuracy over its size."""

import base64
import dataclasses
import html
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from study_of_twelve import study_of_twelve
from tiny import GREY, grey_net, tiny_net

from stillhouse.errors import DataError, StillhouseError
from stillhouse.records.checked import write_checked
from stillhouse.records.gallery import Gallery
from stillhouse.records.metric import MINUS
from stillhouse.report import write_report, write_transfer_report
from stillhouse.report.study_axis import axis_figure
from stillhouse.report.study_page import render_study
from stillhouse.report.study_record import read_study
from stillhouse.report.transfer_figures import transfer_figures
from stillhouse.report.transfer_gallery import gallery_rows, picture_address
from stillhouse.report.transfer_similarity import similarity
from stillhouse.report.wording import TIMES
from stillhouse.synthesis import make_gallery, synthesize
from stillhouse.synthesis.gallery.pictures import CLASSES, LONGEST, per_class

HOSTILE = "<script>alert(1)</script>\" onload='alert(2)' <b>&amp;"
NAMES = ["zero", "one", HOSTILE, "three"]
REAL = (torch.rand(9, *GREY, generator=torch.Generator().manual_seed(2)), torch.arange(9) % 4)
METHOD = {"name": "zero_shot", "steps": 3, "temperature": 2.0}


def synthesis(out: Path, method: Any = METHOD, **changed: Any) -> Path:
    asked = {"count": 40, "image_shape": GREY, "classes": NAMES, "device": "cpu", **changed}
    return synthesize(grey_net(), method=method, out=out, **asked).directory


@pytest.fixture
def synthetic(tmp_path: Path) -> Path:
    return synthesis(tmp_path / "made")


@pytest.fixture
def portrait(synthetic: Path) -> Gallery:
    return make_gallery(synthetic, training=REAL)


def body(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    return re.sub(r"(?s)<(script|style).*?</\1>", " ", text)


class Tags(HTMLParser):
    """Names of all tags and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def visible(page: Path) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body(page))).split())


def pixels(address: str) -> torch.Tensor:
    content = base64.b64decode(address.partition(";base64,")[2])
    image = Image.open(io.BytesIO(content)).convert("RGB")
    return torch.tensor(list(image.tobytes())).view(image.height, image.width, 3)


def test_a_run_with_a_transfer_set_shows_it(made, portrait: Gallery) -> None:
    plain = write_report(made.write())
    assert "Transfer set" not in visible(plain)
    before = len(plain.read_bytes())
    portrait.write(made.directory)
    page = write_report(made.directory)
    text, facts = visible(page), portrait.facts
    smallest, largest = facts.balance.smallest_class, facts.balance.largest_class
    assert "Method zero_ shot from Sequential" in text
    assert f"Images 40 1 {TIMES} 6 {TIMES} 6" in text
    assert f"Images per class {smallest} to {largest} as the teacher sees them" in text
    assert f"As asked {100 * facts.balance.given_is_asked:.0f}% get the class asked for" in text
    assert "Images of each class from the most to the least confident, each with" in text
    assert "the nearest of 9 training images of any class" in text
    assert f"lie between {MINUS}{abs(facts.pixels.low):.2f} and {facts.pixels.high:.2f}" in text
    assert re.search(r"beta 1 \d+ 0\.\d{3} 0\.\d{3} 0\.\d{4}", text)
    assert body(page).count("<img ") == 2 * len(facts.impressions)
    assert body(page).count("data-figure=") == 5 + 3
    assert len(page.read_bytes()) - before < 400_000
    assert text.index("What the student learnt from") < text.index("Transfer set")


def test_names_of_classes_stay_text(synthetic: Path) -> None:
    page = write_transfer_report(synthetic, training=[REAL])
    text = page.read_text(encoding="utf-8")
    assert HOSTILE in visible(page)
    assert "<script>alert" not in text
    found = Tags()
    found.feed(body(page))
    assert not [name for name in found.attributes if name.startswith("on")]
    assert "b" not in found.tags
    assert "img" in found.tags


def test_the_page_of_a_set_is_drawn_again_with_what_it_was_compared_with(synthetic: Path) -> None:
    first = write_transfer_report(synthetic, training=[REAL]).read_bytes()
    assert write_transfer_report(synthetic).read_bytes() == first
    synthesis(synthetic, count=44)
    grown = write_transfer_report(synthetic)
    assert "Images 44" in visible(grown)
    assert "training images" not in visible(grown)


def test_the_page_has_its_settings_and_one_plotly(synthetic: Path) -> None:
    page = write_transfer_report(synthetic)
    text = page.read_text(encoding="utf-8")
    assert "made: zero_shot" in visible(page)
    assert "betas [1.0, 0.1]" in visible(page)
    assert text.count("plotly.js (basic") == 1
    assert "src=" not in re.sub(r'src="data:image/png;base64,[A-Za-z0-9+/=]+"', "", body(page))


def test_a_set_without_targets_has_no_words_of_them(tmp_path: Path) -> None:
    page = write_transfer_report(synthesis(tmp_path / "n", "noise_gaussian"))
    text = visible(page)
    for word in ("As asked", "Asked and reached", "KL(", "Class similarity", "Circles", "Marks"):
        assert word not in text
    assert "What the teacher says" in text


def test_an_empty_class_says_so_and_many_are_chosen(tmp_path: Path) -> None:
    page = write_transfer_report(synthesis(tmp_path / "few", count=2))
    assert "The teacher gives no image this class." in visible(page)
    found = make_gallery(tmp_path / "few")
    facts = found.facts.model_copy(update={"shown": [0, 1, 2]})
    found = Gallery(facts, found.impression, found.achieved)
    assert [row.name for row in gallery_rows(found)][:3] == NAMES[:3]


def test_pictures_are_in_the_page_as_they_are(portrait: Gallery) -> None:
    shown = [one for row in gallery_rows(portrait) for one in row.shown]
    assert len(shown) == len(portrait.facts.impressions)
    for place, one in enumerate(shown):
        for address, kept in ((one.picture, portrait.impression), (one.nearest, portrait.nearest)):
            assert torch.equal(pixels(address)[..., 0], kept[place, 0].long())
    impression = portrait.facts.impressions[0]
    assert shown[0].label == NAMES[impression.label]
    assert shown[0].likeness.replace(MINUS, "-") == f"{impression.likeness:.2f}"


def test_colours_are_nearly_kept(tmp_path: Path) -> None:
    ramp = torch.linspace(0, 255, 32).expand(32, 32)
    image = torch.stack([ramp, ramp.T, torch.full((32, 32), 90.0)]).to(torch.uint8)
    found = pixels(picture_address(image)).permute(2, 0, 1)
    assert (found - image.long()).abs().double().mean() < 8
    colour = synthesize(
        tiny_net(), method="noise_uniform", count=5, image_shape=(3, 8, 8), out=tmp_path,
        device="cpu",
    )  # fmt: skip
    assert body(write_transfer_report(colour.directory)).count("<img ") == 5


@pytest.mark.parametrize("side", [32, LONGEST])
def test_even_noise_keeps_the_page_light(side: int) -> None:
    most = 2 * CLASSES * per_class(side, side)
    drawn = torch.Generator().manual_seed(0)
    noise = torch.randint(256, (3, side, side), generator=drawn).to(torch.uint8)
    assert most * len(picture_address(noise)) < 200_000
    assert most * len(picture_address(noise[:1])) < 270_000


def test_the_figures_draw_the_portrait(portrait: Gallery) -> None:
    figures = transfer_figures(portrait)
    lines = [trace for trace in figures["transfer-concentration"].data if trace.mode == "lines"]
    assert [trace.name for trace in lines] == ["beta 1", "beta 0.1"]
    for at, trace in enumerate(lines):
        assert list(trace.y) == portrait.achieved[at].tolist()
    bars, asked = figures["transfer-balance"].data
    assert list(bars.y) == portrait.facts.balance.given
    assert list(asked.y) == portrait.facts.balance.asked
    said, targets = figures["transfer-peaks"].data
    assert list(said.y) == portrait.facts.achieved_peak
    assert list(targets.y) == portrait.facts.target_peak
    assert transfer_figures(None) == {}


def test_similarity_is_a_table_or_of_many_classes_a_picture(portrait: Gallery) -> None:
    found = similarity(portrait)
    for (name, cells), row in zip(found.rows, portrait.similarity.tolist(), strict=True):
        assert [cell.text.replace(MINUS, "-") for cell in cells] == [f"{x:.2f}" for x in row]
        assert cells[2].about.startswith(f"{name} with {HOSTILE}: ")
        assert [cell.shade for cell in cells] == [max(0, min(10, round(10 * x))) for x in row]
    many = torch.rand(30, 30, generator=torch.Generator().manual_seed(3))
    facts = portrait.facts.model_copy(update={"classes": [str(at) for at in range(30)]})
    drawn = similarity(dataclasses.replace(portrait, facts=facts, similarity=many))
    content = base64.b64decode(drawn.picture.removeprefix("data:image/png;base64,"))
    opacity = torch.tensor(list(Image.open(io.BytesIO(content)).getchannel("A").tobytes()))
    assert torch.equal(opacity.view(30, 30), (255 * many).round().long())
    assert (drawn.rows, json.loads(drawn.told)[-1]) == ((), "29")


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 1}', "\x00"])
def test_a_damaged_portrait_is_an_error_that_says_what_to_do(
    made, portrait: Gallery, synthetic: Path, content: str
) -> None:
    for folder, write in ((made.write(), write_report), (synthetic, write_transfer_report)):
        portrait.write(folder)
        (folder / "transfer.json").write_text(content)
        with pytest.raises(DataError, match="made again"):
            write(folder)


def test_a_synthesis_that_is_not_finished_has_no_page(synthetic: Path) -> None:
    (synthetic / "synthesis.json").unlink()
    with pytest.raises(StillhouseError, match="no finished synthesis"):
        write_transfer_report(synthetic)


def counts_study(folder: Path, counts: tuple[int, ...], **common: Any) -> Any:
    """Two ways of making images, each at several counts, by one KD method."""
    table = study_of_twelve("transfer.count")
    arms = []
    for made_by in ("zero_shot", "noise_uniform"):
        for count in counts:
            arm = json.loads(json.dumps(table["arms"][0]))
            arm |= {"name": f"{made_by} {count}", "at": count, "method": "kd"}
            arm["settings"] = {
                "transfer.method.name": made_by, "transfer.count": count, **common,
            }  # fmt: skip
            arms.append(arm)
    table |= {"arms": arms, "against": None, "swept": []}
    write_checked(folder / "study.json", table)
    return read_study(folder)


def test_accuracy_over_the_number_of_images_is_a_line_per_synthesis(tmp_path: Path) -> None:
    figure = axis_figure(counts_study(tmp_path, (600, 6000, 24_000)))
    lines = {trace.name: trace for trace in figure.data if trace.mode == "lines+markers"}
    assert set(lines) == {"zero_shot", "noise_uniform"}
    assert list(lines["zero_shot"].x) == [600, 6000, 24_000]
    assert figure.layout.xaxis.type == "log"
    assert list(figure.layout.xaxis.ticktext) == ["600", "6,000", "24,000"]
    assert "synthetic images" in figure.layout.xaxis.title.text


def test_other_settings_and_methods_are_in_the_name(tmp_path: Path) -> None:
    record = counts_study(tmp_path, (600, 6000), **{"method.name": "kd", "data.views": 8})
    names = {trace.name for trace in axis_figure(record).data if trace.mode == "lines+markers"}
    assert names == {"zero_shot", "noise_uniform"}, "what all have tells nothing"
    assert axis_figure(record).layout.xaxis.type is None, "a ratio of ten is told as it is"
    table = json.loads((tmp_path / "study.json").read_text())
    for arm in table["arms"][:2]:
        arm["method"] = arm["settings"]["method.name"] = "dkd"
    write_checked(tmp_path / "study.json", table)
    named = {trace.name for trace in axis_figure(read_study(tmp_path)).data}
    assert {"zero_shot, dkd", "noise_uniform, kd"} <= named


def test_a_synthesis_that_all_arms_share_gives_its_name(tmp_path: Path) -> None:
    counts_study(tmp_path, (600, 6000))
    table = json.loads((tmp_path / "study.json").read_text())
    for arm in table["arms"][:2]:
        del arm["settings"]["transfer.method.name"]
        arm["transfer"] = {"method": "zero_shot", "count": arm["at"], "seconds": 74.0}
        arm["controls"] = []
    write_checked(tmp_path / "study.json", {**table, "arms": table["arms"][:2]})
    record = read_study(tmp_path)
    assert {trace.name for trace in axis_figure(record).data} == {"zero_shot"}
    page = render_study(record)
    assert "Set made" in page
    assert "1 min 14 s" in page
    assert "Over its control" not in page
