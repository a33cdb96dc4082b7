"""From the records of a run, a study or a synthesis to one report.html that works offline.

record   what a run directory says            curves   epochs -> lines over seeds
worth    is it worth it?                      wording  how numbers are said
rows     tables, as text                      theme    names of colours, fonts
figures, terms, gains, diagnostics, likeness, projector, answer_figures   record -> plotly figures
frame    what all pages share: frame.html.jinja, page.css, scripts/, policy
palette, shades  light and dark
page     record -> report.html (page.html.jinja and its sections)
transfer_*  the section of a transfer set, and the page of one (transfer_page.html.jinja)
study_*  the same for the directory of a study (study.html.jinja, study.css)
vendored  plotly.js, which draws the figures, with its licence
"""

from stillhouse.report.page import write_report
from stillhouse.report.record import RunRecord, read_run
from stillhouse.report.study_page import write_study_report
from stillhouse.report.transfer_page import write_transfer_report

__all__ = [
    "RunRecord",
    "read_run",
    "write_report",
    "write_study_report",
    "write_transfer_report",
]
