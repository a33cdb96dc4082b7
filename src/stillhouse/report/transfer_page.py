"""The directory of a synthesis -> report.html: one file that needs no network and no other file."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.records.gallery import FACTS, Gallery, read_gallery
from stillhouse.report.frame import render_page, write_page
from stillhouse.report.transfer_figures import transfer_figures
from stillhouse.report.transfer_gallery import gallery_rows
from stillhouse.report.transfer_similarity import similarity
from stillhouse.report.wording import TIMES, flat

if TYPE_CHECKING:
    from torch import Tensor


def write_transfer_report(
    directory: Path, *, training: "Iterable[tuple[Tensor, Tensor]] | None" = None
) -> Path:
    """Look at a finished synthesis and write its ``report.html`` in one move.

    What was seen is kept beside it (transfer.json, transfer.safetensors) and taken again for the
    same images, with the training images that it was compared with.

    Args:
        directory: what `synthesize` filled.
        training: images [N, C, H, W] and labels [N] to compare with, in pieces.

    Returns:
        the path of the report.

    Raises:
        DataError: the synthesis is not finished or damaged, or what was kept of it is.
        SystemFault: the page cannot be written.
    """
    from stillhouse.synthesis.gallery import make_gallery

    gallery = None if training is not None else _kept(directory)
    if gallery is None:
        gallery = make_gallery(directory, training=training)
        gallery.write(directory)
    return write_page(directory, render_transfer(gallery, directory.resolve().name))


def _kept(directory: Path) -> Gallery | None:
    """The gallery that is there, if it is one of the images that are there now."""
    from stillhouse.synthesis.gallery.rows import open_rows

    if not (directory / FACTS).is_file():
        return None
    kept, manifest = read_gallery(directory), open_rows(directory).manifest
    same = kept.facts.fingerprint == manifest.fingerprint and kept.facts.count == manifest.count
    return kept if same else None


def render_transfer(gallery: Gallery, name: str) -> str:
    """Return the whole page; every text of the gallery is escaped."""
    return render_page(
        "transfer_page.html.jinja",
        transfer_figures(gallery),
        rules=["transfer.css"],
        title=f"{name}: {gallery.facts.method}",
        transfer=gallery,
        gallery=gallery_rows(gallery),
        similarity=similarity(gallery),
        settings=_settings(gallery),
    )


def _settings(gallery: Gallery) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    facts = gallery.facts
    told = {
        "teacher": facts.teacher,
        "images": facts.made,
        "image": f" {TIMES} ".join(str(side) for side in facts.image_shape),
        "classes": len(facts.classes),
        "seed": facts.seed,
        "fingerprint": facts.fingerprint,
    }
    return [("Method", flat({"name": facts.method, **facts.settings})), ("Set", flat(told))]
