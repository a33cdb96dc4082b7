"""tracking.json: what of a run or study each tracker has, so that no point is drawn twice."""

from typing import ClassVar

from pydantic import Field

from stillhouse.records.schema import Record, RecordFile

TRACKING = "tracking.json"


class CurveState(Record):
    """What a tracker has of one training, or of a summary.

    Args:
        identity: the fingerprint of the training; empty of a summary.
        run: what the tracker calls it.
        epoch: the last one that was written; of a summary 1 where it is written.
        done: all epochs were written, and the tracker's run was closed.
    """

    identity: str = ""
    run: str = ""
    epoch: int = 0
    done: bool = False


class TrackerState(Record):
    """What one tracker has.

    Args:
        curves: by the name of the tracker's run.
        failed: how often it could not be written to.
        why: what was said first.
    """

    curves: dict[str, CurveState] = Field({})
    failed: int = 0
    why: str = ""


class TrackingState(RecordFile):
    """tracking.json."""

    AGAIN: ClassVar[str] = "delete it: curves then begin anew, as new runs of the tracker"
    trackers: dict[str, TrackerState] = Field({})
