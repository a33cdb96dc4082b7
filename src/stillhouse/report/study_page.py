"""A study's directory -> report.html: one file that needs no network and no other file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillhouse.report.frame import render_page, write_page
from stillhouse.report.short_names import short_names
from stillhouse.report.study_axis import TEACHER, axis_figure
from stillhouse.report.study_figures import arms_figure, control_level
from stillhouse.report.study_finding import finding
from stillhouse.report.study_front import front_figure
from stillhouse.report.study_maps import maps
from stillhouse.report.study_record import StudyRecord, read_study, settings_of
from stillhouse.report.study_rows import controls, diagnostic_names, study_rows


def write_study_report(directory: Path) -> Path:
    """Read a study's directory and write its ``report.html`` in one move.

    Returns:
        the path of the report.

    Raises:
        RunError: ``directory`` holds no study, is damaged, or cannot be written to.
    """
    return write_page(directory, render_study(read_study(directory)))


def render_study(record: StudyRecord) -> str:
    """Return the whole page; every text of the record is escaped."""
    compared = [arm for arm in record.arms if arm.gain and arm.gain.p_holm is not None]
    rivals = [
        arm for arm in record.arms if arm.over_against and arm.over_against.p_holm is not None
    ]
    return render_page(
        "study.html.jinja",
        _figures(record),
        rules=["study.css"],
        study=record,
        metric=record.metric,
        settings={arm.name: settings_of(arm) for arm in record.arms},
        title=record.title or record.name,
        finding=finding(record),
        rows=study_rows(record),
        short=short_names(arm.name for arm in record.arms),
        diagnostics=[name.replace("_", " ") for name in diagnostic_names(record)],
        controls=controls(record),
        one_control=control_level(record) is not None,
        several=any(len(arm.runs) > 1 for arm in record.arms),
        compared=len(compared),
        rivals=len(rivals),
        maps=maps(record),
        cautions={arm.name: arm.cautions for arm in record.arms if arm.cautions},
        over_teacher=record.axis == TEACHER,
    )


def _figures(record: StudyRecord) -> Mapping[str, Any]:
    drawn = {
        "arms": arms_figure(record),
        "front": front_figure(record),
        "axis": axis_figure(record) if record.axis else None,
    }
    return {name: figure for name, figure in drawn.items() if figure is not None}
