"""The claims of the papers: what was published, what was measured here, and in which regime.

`benchmarks/claims.json` names them: for each the paper, the claim, the published number, the result
file with the two arms that are compared, and a sentence on what came out. Gains, intervals and
words are judged anew, the claims of a result file as one family.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marks import Results, table
from result_files import RESULTS, ROOT
from stillhouse.records.metric import ACCURACY, Metric
from stillhouse.records.study import Comparison
from stillhouse.report.study_record import StudyRecord
from stillhouse.report.study_rows import gain_words
from stillhouse.studies.comparisons import comparisons, differences, last_by_seed
from stillhouse.verdict.paired import paired
from tables.arms import gain_text, word_text
from tables.restored import restored

CONTROL = "its control"
TITLES = ("claim", "published", "measured here", "seeds", "control on training rows, %", "word")


@dataclass(frozen=True)
class Claim:
    """One claim of a paper, and where it could show.

    Args:
        paper: who claims it, as a heading of the table.
        claim: what.
        published: the number of the paper with its setting, or that it is not known.
        file: the result file.
        arm, over: whose gain over whom: arms of the study; over its control where none is named.
        compared: these two in a reader's words.
        means: what the number says, in a sentence.
        figure: of which table and by which name, where it is not the study's own metric that is
            compared but one of the figures beside it (`TAR at FAR 0.01` of `unseen`).
    """

    paper: str
    claim: str
    published: str
    file: str
    arm: str
    means: str
    compared: str
    over: str = CONTROL
    figure: tuple[str, str] | None = None


def claims(results: Results, _: Sequence[str]) -> str:
    """The table of the claims that are measured in these files, and its sentences below it.

    Args:
        results: of studies.
    """
    rows, told = [], []
    for name, found in results.items():
        record = restored(found)
        for each in (claim for claim in every() if claim.file == name):
            gain, metric = _gain(each, record), record.metric
            if each.figure is not None:
                gain, metric = _figure_gain(each, found["study"])
            words = gain_words(gain, metric)
            rows.append(
                [
                    f"{each.paper}: {each.claim} ({each.compared})",
                    each.published,
                    gain_text(words),
                    str(gain.seeds if gain else 0),
                    _trained(each, found["study"]),
                    word_text(words),
                ]
            )
            told.append(f"- **{each.claim}**: {each.means}")
    return "\n".join([table(TITLES, rows), "", *told])


def every() -> list[Claim]:
    """All claims whose result file is there."""
    kept = json.loads((ROOT / "benchmarks" / "claims.json").read_text("utf-8"))
    return [
        Claim(**{**each, "figure": tuple(each["figure"]) if "figure" in each else None})
        for each in kept
        if (RESULTS / each["file"]).is_file()
    ]


def _gain(claim: Claim, record: StudyRecord) -> Comparison | None:
    """As the table of the study has it; of two arms that it does not compare, by itself."""
    arms = {arm.name: arm for arm in record.arms}
    mine = arms[claim.arm]
    if claim.over == CONTROL:
        return mine.gain
    if claim.over == record.against:
        return mine.over_against
    theirs = last_by_seed(arms[claim.over].runs)
    gains = differences(last_by_seed(mine.runs), theirs, record.metric)
    tested = record.data.test if record.data else None
    step = 1 / tested if tested and record.metric.share else None
    return comparisons({claim.arm: paired(gains, step=step)})[claim.arm]


def _figure_gain(claim: Claim, study: Mapping[str, Any]) -> tuple[Comparison | None, Metric]:
    """The gain by a figure beside the headline, paired over the seeds that both arms have."""
    assert claim.figure is not None
    table_name, name = claim.figure
    arms = {arm["name"]: arm for arm in study["arms"]}
    tables = {
        arm: next(each for each in arms[arm]["figures"] if each["table"] == table_name)
        for arm in ({claim.arm} if claim.over == CONTROL else {claim.arm, claim.over})
    }
    metric = next(
        Metric.model_validate(each) for each in tables[claim.arm]["metrics"] if each["name"] == name
    )
    mine = _by_seed(tables[claim.arm], "student", name)
    theirs = (
        _by_seed(tables[claim.arm], "control", name)
        if claim.over == CONTROL
        else _by_seed(tables[claim.over], "student", name)
    )
    gains = differences(mine, theirs, metric)
    return comparisons({claim.arm: paired(gains)})[claim.arm], metric


def _by_seed(figures: Mapping[str, Any], role: str, name: str) -> dict[int, float]:
    network = next(each for each in figures["networks"] if each["role"] == role)
    return dict(zip(network["seeds"], network["figures"][name]["by_seed"], strict=True))


def _trained(claim: Claim, study: Mapping[str, Any]) -> str:
    """The metric on training rows of whom the arm is compared with."""
    arms = {arm["name"]: arm for arm in study["arms"]}
    columns = arms[claim.arm]["controls"] if claim.over == CONTROL else arms[claim.over]["runs"]
    known = [value for value in (columns or {}).get("training", []) if value is not None]
    return ACCURACY.shown(statistics.fmean(known)) if known else "not recorded"
