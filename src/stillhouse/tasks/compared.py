"""The figures of compared embeddings as a record: of all networks, with intervals and plots."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from stillhouse.errors import DataError
from stillhouse.records.answers import Answers
from stillhouse.records.figures import (
    Estimate,
    FigureGain,
    NetworkFigures,
    Plot,
    Series,
    TableFigures,
)
from stillhouse.records.metric import Metric
from stillhouse.tasks.gains import CONTROL, STUDENT, gain_over_seeds
from stillhouse.tasks.over_images import ends
from stillhouse.verification.curve import Curve, curve
from stillhouse.verification.figures import left_out, over_people, shown_fars
from stillhouse.verification.pairs import Floats, Pairs, all_pairs, pair_cosines
from stillhouse.verification.people import Resamples

EMBEDDING = "embedding"
WORDS = {"unseen": ("class", "classes")}
"""What labels number: classes where they were held out, else people."""
POINTS = 81
"""Of a drawn ROC curve, evenly over the logarithm of FAR."""
BINS, TAIL = 40, 0.005
"""Of a histogram of cosines, and the share of the lowest that fall into its first bin."""


def table_figures(
    answers: Answers, pairs: Pairs | None, table: str, metrics: Mapping[str, Metric]
) -> TableFigures:
    """EER, AUC, accuracy and TAR of each network; the gain of the student; ROC and histograms.

    Args:
        answers: with the embedding of each row, and labels.
        pairs: of its rows that are compared; None: each with each other one.
        table: 'test' or 'unseen'.
        metrics: how figures are said, by any keys.

    Raises:
        DataError: an embedding is not finite or is 0, or there are no pairs of a kind.
    """
    label = np.asarray(answers.label)
    compared = all_pairs(label) if pairs is None else pairs
    known = {key: each[EMBEDDING] for key, each in answers.of.items() if EMBEDDING in each}
    cosines = {key: _cosines(z.numpy(), compared, key) for key, z in known.items()}
    one, several = WORDS.get(table, ("person", "people"))
    found = over_people(list(cosines.values()), compared, label)
    places = {key: at for at, key in enumerate(cosines)}
    shown = shown_metrics(metrics.values(), compared)
    notes = left_out(compared, several)
    if all(metric.name != "accuracy" for metric in shown):
        notes.append("Accuracy is of pairs in folds, and these have none.")
    roles = {role: [seed for known, seed in cosines if known == role] for role, _ in cosines}
    return TableFigures(
        table=table,
        title="Verification of unseen classes" if table == "unseen" else "Verification",
        about=_about(compared, label, one, several),
        over=several,
        count=found.people,
        metrics=tuple(shown),
        networks=tuple(
            _network(role, seeds, found, [places[role, seed] for seed in seeds], shown)
            for role, seeds in roles.items()
        ),
        gains=_gains(found, places, shown),
        notes=tuple(notes),
        plots=_plots(cosines, roles, compared, one, several),
    )


def _cosines(embedding: npt.ArrayLike, pairs: Pairs, network: tuple[str, int]) -> Floats:
    try:
        return pair_cosines(embedding, pairs)
    except DataError as error:
        raise DataError(f"{network[0]}, seed {network[1]}: {error}") from error


def shown_metrics(metrics: Iterable[Metric], pairs: Pairs) -> list[Metric]:
    """Those that these pairs can show, in the order of `verification.figures`."""
    folds = pairs.fold is not None and len(np.unique(pairs.fold)) > 1
    fars = [f"{far:g}" for far in shown_fars(pairs)]
    return [
        metric
        for metric in metrics
        if (metric.name != "accuracy" or folds)
        and (not metric.name.startswith("TAR") or metric.name.rpartition(" ")[2] in fars)
    ]


def _about(pairs: Pairs, label: npt.NDArray[np.int64], one: str, several: str) -> str:
    rows = np.unique(np.append(pairs.first, pairs.second))
    people, same = len(np.unique(label[rows])), int(pairs.same.sum())
    return (
        f"{len(pairs):,} pairs of {len(rows):,} images of {people:,} {several} are compared by the "
        f"cosine of their embeddings; {same:,} pairs are of one {one}."
    )


def _network(
    role: str, seeds: Sequence[int], found: Resamples, places: list[int], metrics: list[Metric]
) -> NetworkFigures:
    estimates = {}
    for at, metric in enumerate(metrics):
        mine = found.of(lambda value, at=at: value[..., places, at].mean(-1))  # type: ignore[misc]
        by_seed = tuple(found.value[places, at].tolist())
        low, high = ends(mine)
        estimates[metric.name] = Estimate(
            value=float(mine.value), by_seed=by_seed, low=low, high=high
        )
    return NetworkFigures(role=role, seeds=tuple(seeds), figures=estimates)


def _gains(
    found: Resamples, places: Mapping[tuple[str, int], int], metrics: list[Metric]
) -> dict[str, FigureGain]:
    seeds = [seed for role, seed in places if role == STUDENT and (CONTROL, seed) in places]
    if not seeds:
        return {}
    mine, theirs = ([places[role, seed] for seed in seeds] for role in (STUDENT, CONTROL))
    gains = {}
    for at, metric in enumerate(metrics):
        sign = 1.0 if metric.higher_is_better else -1.0

        def gain(value: Floats, at: int = at, sign: float = sign) -> Floats:
            return sign * (value[..., mine, at] - value[..., theirs, at]) + 0.0  # no -0

        by_seed = gain(found.value).tolist()
        low, high = ends(found.of(lambda value, of=gain: of(value).mean(-1)))  # type: ignore[misc]
        gains[metric.name] = gain_over_seeds(by_seed, low, high)
    return gains


def _plots(
    cosines: Mapping[tuple[str, int], Floats],
    roles: Mapping[str, Sequence[int]],
    pairs: Pairs,
    one: str,
    several: str,
) -> tuple[Plot, ...]:
    drawn = {role: [cosines[role, seed] for seed in seeds] for role, seeds in roles.items()}
    roc = Plot(
        title="ROC: pairs accepted, by the pairs wrongly accepted",
        x=f"FAR: share of pairs of different {several} that are accepted, %",
        y=f"TAR: share of pairs of one {one}, %",
        log_x=True,
        series=tuple(_roc(role, found, pairs) for role, found in drawn.items()),
        note="Means over the seeds; the points are the FARs of the table. Higher is better.",
    )
    histograms = tuple(
        Plot(
            title=f"Cosines of the {role}",
            x="cosine of both embeddings",
            y="share of the pairs, %",
            bars=True,
            series=(
                _histogram(role, f"of one {one}", found, pairs.same, _edges(found)),
                _histogram("", f"of different {several}", found, ~pairs.same, _edges(found)),
            ),
            note="All seeds together; what overlaps cannot be told apart by any threshold.",
        )
        for role, found in drawn.items()
    )
    return roc, *histograms


def _roc(role: str, cosines: Sequence[Floats], pairs: Pairs) -> Series:
    curves = [curve(each, pairs.same) for each in cosines]
    least = 1.0 / float((~pairs.same).sum())
    fars = np.unique(np.append(np.geomspace(least, 1.0, POINTS), shown_fars(pairs)))
    height = np.mean([_tar(each, fars) for each in curves], axis=0)
    marked = [(100 * far, float(100 * height[fars == far][0])) for far in shown_fars(pairs)]
    return Series(
        role=role, name=role, x=_rounded(100 * fars), y=_rounded(100 * height),
        marked=tuple((round(x, 6), round(y, 6)) for x, y in marked),
    )  # fmt: skip


def _tar(of: Curve, fars: Floats) -> Floats:
    """TAR at each FAR, as `tar_at_far` has it: no line between the points of the curve."""
    allowed = np.floor(fars * of.impostor[-1] + 1e-9)
    found: Floats = of.tar[np.searchsorted(of.impostor, allowed, side="right") - 1]
    return found


def _edges(cosines: Sequence[Floats]) -> Floats:
    """Of bins that leave out the few lowest of all pairs, which are counted in the first."""
    low = min(float(np.quantile(each, TAIL)) for each in cosines)
    return np.linspace(min(low, 0.99), 1.0, BINS + 1)


def _histogram(
    role: str, name: str, cosines: Sequence[Floats], kind: npt.NDArray[np.bool_], edges: Floats
) -> Series:
    chosen = np.concatenate([np.clip(each[kind], edges[0], edges[-1]) for each in cosines])
    share = 100 * np.histogram(chosen, edges)[0] / len(chosen)
    return Series(role=role, name=name, x=_rounded((edges[:-1] + edges[1:]) / 2), y=_rounded(share))


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(float(f"{each:.6g}") for each in values)
