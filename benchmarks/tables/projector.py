"""Tables of a sweep over projectors: every setting, and each distance at its best weight."""

from collections.abc import Sequence
from typing import Any

from at_best_weight import at_best
from marks import Results, table
from stillhouse.records.study import Arm
from stillhouse.report.study_record import diagnosed, tested
from stillhouse.report.study_rows import gain_words
from stillhouse.report.wording import interval
from tables.arms import gain_text, word_text
from tables.recorded import not_recorded
from tables.restored import restored

SETTINGS = ("normalise", "projector", "distance", "weight")
ORDER = ("batch", "none", "l2")
"""Of normalisations: the one that most settings have first."""
READINGS = {
    "in-out CKA": ("projector_in_out_cka", "{:.3f}"),
    "in-out correlation": ("projector_in_out_correlation", "{:.3f}"),
    "effective rank": ("projector_effective_rank", "{:.1f}"),
    "small values": ("projector_share_small", "{:.2f}"),
}


def projectors(results: Results, _: Sequence[str]) -> str:
    """Every setting of a sweep."""
    (found,) = results.values()
    record = restored(found, [key for key, _ in READINGS.values()])
    rows = []
    for arm in sorted(record.arms, key=_place):
        read, gain = diagnosed(arm.runs), gain_words(arm.gain, record.metric)
        rows.append(
            [
                *(_said(name, arm) for name in SETTINGS),
                interval(tested(arm.runs), record.metric),
                gain_text(gain),
                word_text(gain),
                *(
                    form.format(read[key].mean) if key in read else ""
                    for key, form in READINGS.values()
                ),
            ]
        )
    titles = [*SETTINGS, "test, %", "over its control", "corrected", *READINGS]
    return f"{table(titles, rows)}\n\n{not_recorded(found)}"


def _of(name: str, arm: Arm) -> Any:
    return arm.settings.get(f"method.{name}")


def _said(name: str, arm: Arm) -> str:
    alpha = _of("alpha", arm)
    return f"log_sum {alpha}" if name == "distance" and alpha is not None else str(_of(name, arm))


def _place(arm: Arm) -> tuple[Any, ...]:
    first = ORDER.index(_of("normalise", arm))
    projector = ("none", "linear", "mlp2", "mlp3").index(_of("projector", arm))
    return first, projector, _of("distance", arm), _of("alpha", arm) or 0, _of("weight", arm)


def weights(results: Results, words: Sequence[str]) -> str:
    """Each distance at the weight that validation chose; words are the settings all have."""
    (found,) = results.values()
    wanted = {f"method.{key}": value for key, value in (word.split("=", 1) for word in words)}
    return at_best(found["study"], wanted)
