"""A watcher that ends a run amid the training of its student, as a kill would."""

from stillhouse.runs.job.watcher import SilentWatcher


class StopAmid(SilentWatcher):
    """Ends the run in the student's training, after so many of its epochs."""

    def __init__(self, epochs: int) -> None:
        self.left, self.stage = epochs, ""

    def begin(self, stage: str, steps: int, done: int) -> None:
        self.stage = stage

    def epoch(self, record, metric) -> None:
        self.left -= self.stage == "student"
        if not self.left:
            raise KeyboardInterrupt
