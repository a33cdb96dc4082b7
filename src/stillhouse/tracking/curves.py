"""The curves of one run, or of one arm of a study: their names and their points."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stillhouse.tracking.points import plain, points
from stillhouse.tracking.sessions import Wanted
from stillhouse.tracking.summary import Summary
from stillhouse.tracking.tracking import Tracking

SUMMARY = "summary"


@dataclass(frozen=True)
class Scope:
    """The trackers of one run, or of one arm of a study.

    Args:
        tracking: of the whole.
        trackers: their names.
        project: the trackers' own word for what runs belong to.
        out: the directory of the run or arm.
        prefix: before the names of curves: the arm.
        about: the settings of its recipe, as plain values.
    """

    tracking: Tracking
    trackers: tuple[str, ...]
    project: str
    out: Path
    prefix: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)

    def curve(self, role: str, seed: int, identity: str, *, shared: bool) -> "Curve":
        """The curve of a training.

        Args:
            role: what tables call the network that learns, perhaps with a place before it.
            seed: its own.
            identity: the fingerprint of the training.
            shared: whether it may be the same one for several arms, and is then drawn once.
        """
        own = f"{'/'.join(map(plain, role.split('/')))}/seed-{seed}"
        return Curve(self, own, self._prefixed(own), identity, {"role": role, "seed": seed}, shared)

    def conclude(self, summary: Summary) -> None:
        """What came out of the run or the arm, and in which words."""
        for tracker in self.trackers:
            self.tracking.conclude(tracker, self.wanted(self._prefixed(SUMMARY)), summary)

    def _prefixed(self, name: str) -> str:
        return f"{plain(self.prefix)}/{name}" if self.prefix else name

    def wanted(self, name: str, about: Mapping[str, Any] | None = None) -> Wanted:
        """The tracker's run of that name."""
        return Wanted(self.tracking.out, self.project, name, about={**self.about, **(about or {})})


@dataclass(frozen=True)
class Curve:
    """The points of one training, for all trackers of its scope."""

    scope: Scope
    own: str
    prefixed: str
    identity: str
    about: Mapping[str, Any]
    shared: bool

    def add(self, *records: Mapping[str, Any]) -> None:
        """The numbers of epochs, lines of metrics.jsonl; known ones are let alone."""
        new = {int(record["epoch"]): points(record) for record in records}
        names = (self.prefixed, f"{self.prefixed}-{self.identity[:8]}")
        for tracker in self.scope.trackers:
            own = (self.own, *names) if self.shared else names
            name = self.scope.tracking.named(tracker, own, self.identity)
            wanted = self.scope.wanted(name, self.about)
            self.scope.tracking.add(tracker, wanted, self.identity, new)

    def end(self, history: Iterable[Mapping[str, Any]]) -> None:
        """The training is over; all its epochs, of which some may not be drawn yet."""
        self.add(*history)
        self.scope.tracking.leave()
