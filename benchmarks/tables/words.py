"""The same numbers by the test of before and by that of today.

Before, each arm had a paired t-test of its own, with n - 1 degrees of freedom, and Holm's
correction over all arms; a p below 0.05 helped or hurt.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from marks import Results, table
from stillhouse.records.metric import Metric
from stillhouse.records.run import SeedScores
from stillhouse.records.study import Arm, Comparison
from stillhouse.report.study_record import StudyRecord
from stillhouse.report.study_rows import gain_words
from stillhouse.studies.comparisons import differences
from stillhouse.verdict.corrections import holm
from stillhouse.verdict.judgement import said
from stillhouse.verdict.moderated import alone, half_width, two_sided
from stillhouse.verdict.paired import paired
from tables.arms import AGAINST
from tables.restored import restored


def by_itself(gains: Mapping[str, Sequence[float]]) -> dict[str, Comparison]:
    """Paired t-tests, each by itself, with Holm's correction; of arms with two seeds or more.

    >>> found = by_itself({"a": [0.019, 0.02, 0.021], "b": [0.0, 0.01, 0.02]})
    >>> [(round(one.p_holm, 4), one.word) for one in found.values()]
    [(0.0017, 'helps'), (0.2254, 'no difference shown')]
    """
    found = {}
    for name, each in gains.items():
        one = paired(each)
        if one is not None and one.variance is not None:
            half = float(half_width([one.variance], one.count, alone())[0])
            p = float(two_sided([one.mean], [one.variance], one.count, alone())[0])
            found[name] = Comparison(
                mean=one.mean,
                low=one.mean - half,
                high=one.mean + half,
                p=p,
                p_holm=None,
                word="",
                seeds=one.count,
            )
    corrected = holm([one.p for one in found.values()])
    return {
        name: one.model_copy(update={"p_holm": p, "word": said(one.mean, p)})
        for (name, one), p in zip(found.items(), corrected, strict=True)
    }


@dataclass(frozen=True)
class Column:
    """The comparisons of a study with the controls, or with one arm, before and now."""

    title: str
    before: Mapping[str, Comparison]
    now: Mapping[str, Comparison]
    words: Mapping[str, str]

    def count(self, comparisons: Mapping[str, Comparison]) -> str:
        """How many arms have which word."""
        kinds = Counter(self.words.get(one.word, one.word) for one in comparisons.values())
        return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())


def columns(record: StudyRecord) -> Iterator[Column]:
    """Those that a study has."""
    now = {arm.name: arm.gain for arm in record.ranked if arm.gain}
    if now:
        gains = {a.name: _pairs(a, a.controls, record.metric) for a in record.arms if a.name in now}
        yield Column("over its control", by_itself(gains), now, {})
    rivals = {arm.name: arm.over_against for arm in record.ranked if arm.over_against}
    if rivals:
        theirs = next(arm for arm in record.arms if arm.name == record.against).runs
        gains = {a.name: _pairs(a, theirs, record.metric) for a in record.arms if a.name in rivals}
        yield Column(f"over {record.against}", by_itself(gains), rivals, AGAINST)


def _pairs(arm: Arm, theirs: Sequence[SeedScores], metric: Metric) -> list[float]:
    mine, other = (
        {run.seed: run.test.last for run in runs if run.test.last is not None}
        for runs in (arm.runs, theirs)
    )
    return differences(mine, other, metric)


def counts(results: Results, _: Sequence[str]) -> str:
    """How many arms of each study have which word, before and now."""
    rows = []
    for name, found in results.items():
        for column in columns(restored(found)):
            seeds = {one.seeds for one in column.now.values()}
            about = [f"`{name}`", column.title, "/".join(map(str, sorted(seeds)))]
            now, before = column.count(column.now), column.count(column.before)
            rows.append([*about, str(len(column.now)), before, now])
    return table(["study", "gain", "seeds", "comparisons", "before", "now"], rows)


def both(results: Results, _: Sequence[str]) -> str:
    """Every arm of a study, with its interval, word and corrected p, before and now."""
    (found,) = results.values()
    record = restored(found)
    titles, shown = ["arm"], list(columns(record))
    for column in shown:
        titles += [column.title, "before", "now"]
    rows = []
    for arm in record.ranked:
        row = [arm.name]
        for column in shown:
            row += _cells(arm, column, record.metric)
        rows.append(row)
    return table(titles, rows)


def _cells(arm: Arm, column: Column, metric: Metric) -> list[str]:
    before, now = column.before.get(arm.name), column.now.get(arm.name)
    if before is None or now is None:
        return ["", "", ""]
    cells = []
    for one in (before, now):
        told = gain_words(one, metric)
        word = column.words.get(one.word, one.word)
        changed = one is now and now.word != before.word
        cells.append(f"{f'**{word}**' if changed else word}, {told.p} ({told.range})")
    return [metric.signed(now.mean), *cells]
