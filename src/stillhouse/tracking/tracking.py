"""The trackers of a run or study: which points they have, what is open, what could not be written.

Each tracker has a run per training (one role, one seed), so that curves lie over each other, and a
run 'summary'. What was written is noted in tracking.json, and a tracker whose run is opened again
is asked for the last point that it has, so that none is there twice. A tracker that fails never
stops a training: what could not be written is tried again with the next point, and in the end it is
said what is missing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stillhouse.tracking.sessions import OPENERS, Session, Wanted
from stillhouse.tracking.state import TRACKING, CurveState, TrackerState, TrackingState
from stillhouse.tracking.summary import Summary

PATIENCE = 3
"""Failures in a row after which a tracker is let alone: each may be a minute of waiting."""


@dataclass
class _Open:
    """A run of a tracker that is written to.

    Args:
        name: of the curve.
        last: the epoch that it had when it was opened.
        written: the epochs that it was given since.
        waiting: points that it could not take yet.
    """

    name: str
    session: Session | None = None
    last: int = 0
    written: set[int] = field(default_factory=set)
    waiting: dict[int, dict[str, float]] = field(default_factory=dict)


class Tracking:
    """All trackers of a run or study.

    Args:
        out: its directory, where tracking.json is kept.
        warn: hears of a tracker that fails, once, and of what is missing in the end.

    Raises:
        RunError: tracking.json is damaged.
    """

    def __init__(self, out: Path, warn: Callable[[str], None]) -> None:
        self.out, self._warn = out, warn
        path = out / TRACKING
        state = TrackingState.read(path) if path.is_file() else TrackingState()
        self._known = dict(state.trackers)
        self._open: dict[str, _Open] = {}
        self._missing: dict[str, int] = {}
        self._failing: dict[str, str] = {}
        self._in_a_row: dict[str, int] = {}

    def close(self) -> None:
        """Write what waits, close all, and say what could not be written."""
        for tracker in list(self._open):
            self._leave(tracker)
        for tracker, why in self._failing.items():
            missing = self._missing.get(tracker, 0)
            what = f"{missing} points are missing there" if missing else "nothing is missing there"
            failed = self._known[tracker].failed
            self._warn(
                f"{tracker} could not be written to {failed} times, and {what} "
                f"(metrics.jsonl has all): {why}"
            )

    def named(self, tracker: str, names: Iterable[str], identity: str) -> str:
        """The first of these names that no other training has."""
        taken = self._state(tracker).curves
        free = (each for each in names if each not in taken or taken[each].identity == identity)
        return next(free)

    def add(
        self, tracker: str, wanted: Wanted, identity: str, new: Mapping[int, dict[str, float]]
    ) -> None:
        """Points by epoch, but those that the tracker has."""
        if self._curve(tracker, wanted.name, identity).done:
            return
        opened = self._opened(tracker, wanted.name)
        for epoch, values in new.items():
            if epoch not in opened.written:
                opened.waiting.setdefault(epoch, values)
        if self._willing(tracker):
            self._flush(tracker, wanted, opened)

    def _willing(self, tracker: str) -> bool:
        return self._in_a_row.get(tracker, 0) < PATIENCE

    def conclude(self, tracker: str, wanted: Wanted, summary: Summary) -> None:
        """What came out, unless the tracker has it."""
        if self._curve(tracker, wanted.name, "").epoch:
            return
        opened = self._opened(tracker, wanted.name)
        try:
            if self._willing(tracker):
                self._session(tracker, wanted, opened).conclude(summary)
                self._note(tracker, wanted.name, epoch=1, done=True)
            else:
                self._missing[tracker] = self._missing.get(tracker, 0) + 1
        except Exception as error:  # whatever a tracker raises
            self._failed(tracker, error)
            self._missing[tracker] = self._missing.get(tracker, 0) + 1
        self._leave(tracker)

    def leave(self) -> None:
        """A training is over: its curves are closed, and need not be opened again."""
        for tracker, opened in list(self._open.items()):
            if not opened.waiting:
                self._note(tracker, opened.name, done=True)
            self._leave(tracker)

    def _opened(self, tracker: str, name: str) -> _Open:
        found = self._open.get(tracker)
        if found is None or found.name != name:
            self._leave(tracker)
            found = self._open[tracker] = _Open(name)
        return found

    def _flush(self, tracker: str, wanted: Wanted, opened: _Open) -> None:
        """Write what waits, earliest first, until the tracker refuses."""
        try:
            session = self._session(tracker, wanted, opened)
            for epoch in sorted(opened.waiting):
                if epoch > opened.last:
                    session.log(opened.waiting[epoch], epoch)
                    self._note(tracker, wanted.name, epoch=epoch)
                    self._in_a_row[tracker] = 0
                opened.written.add(epoch)
                del opened.waiting[epoch]
        except Exception as error:  # whatever a tracker raises
            self._failed(tracker, error)

    def _session(self, tracker: str, wanted: Wanted, opened: _Open) -> Session:
        if opened.session is None:
            known = self._curve(tracker, wanted.name, "")
            again = Wanted(
                wanted.out, wanted.project, wanted.name, known.run, known.epoch, wanted.about
            )
            opened.session = OPENERS[tracker](again)
            last = opened.session.last
            opened.last = known.epoch if last is None or not known.run else last
            self._note(tracker, wanted.name, run=opened.session.run)
        return opened.session

    def _leave(self, tracker: str) -> None:
        opened = self._open.pop(tracker, None)
        if opened is None:
            return
        last = self._state(tracker).curves[opened.name].epoch
        missing = sum(epoch > last for epoch in opened.waiting)
        if missing:
            self._missing[tracker] = self._missing.get(tracker, 0) + missing
        if opened.session is not None:
            try:
                opened.session.close()
            except Exception as error:  # whatever a tracker raises
                self._failed(tracker, error)

    def _failed(self, tracker: str, error: Exception) -> None:
        why = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
        if tracker not in self._failing:
            self._warn(f"{tracker} cannot be written to, the training goes on without it: {why}")
        self._failing.setdefault(tracker, why)
        self._in_a_row[tracker] = self._in_a_row.get(tracker, 0) + 1
        known = self._state(tracker)
        update = {"failed": known.failed + 1, "why": known.why or why}
        self._keep(tracker, known.model_copy(update=update))

    def _state(self, tracker: str) -> TrackerState:
        return self._known.get(tracker, TrackerState())

    def _curve(self, tracker: str, name: str, identity: str) -> CurveState:
        """What the tracker has of it; it begins where there is nothing."""
        known = self._state(tracker).curves.get(name)
        if known is None:
            known = CurveState(identity=identity)
            self._keep_curve(tracker, name, known)
        return known

    def _note(self, tracker: str, name: str, **update: Any) -> None:
        known = self._state(tracker).curves[name]
        self._keep_curve(tracker, name, known.model_copy(update=update))

    def _keep_curve(self, tracker: str, name: str, curve: CurveState) -> None:
        known = self._state(tracker)
        curves = {**known.curves, name: curve}
        self._keep(tracker, known.model_copy(update={"curves": curves}))

    def _keep(self, tracker: str, state: TrackerState) -> None:
        self._known[tracker] = state
        TrackingState(trackers=self._known).write(self.out / TRACKING)
