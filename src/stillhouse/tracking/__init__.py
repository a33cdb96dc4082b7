"""Trackers of experiments: the curves of a run, and what came out of it, for other programs."""

from stillhouse.tracking.curves import Curve, Scope
from stillhouse.tracking.names import TRACKERS, check_installed
from stillhouse.tracking.summary import Summary, run_summary, study_summary
from stillhouse.tracking.tracking import Tracking

__all__ = [
    "TRACKERS",
    "Curve",
    "Scope",
    "Summary",
    "Tracking",
    "check_installed",
    "run_summary",
    "study_summary",
]
