"""How far a run goes: files entered, hand-overs, networks built, stages opened.

    python benchmarks/flow.py            # prints the counts of one `kd` run of one seed on digits

The check is included. A hand-over is a call from one file of ``runs/`` into another. A network is
built by `build_model`; a stage is opened (checked, planned, its bridges sized) by `wire`.
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import stillhouse
from stillhouse.recipes import make_recipe
from stillhouse.runs.run import prepare, run

ROOM = Path(stillhouse.__file__).parent
RECIPE = {
    "data": "digits",
    "student": "convnet-8-16",
    "teacher": {"model": "resnet8", "epochs": 1},
    "method": "kd",
    "epochs": 2,
    "seeds": 1,
}


class Flow:
    """What a profiler heard of our own files.

    Args:
        room: the folder between whose files hand-overs are counted.
    """

    def __init__(self, room: str = "runs/") -> None:
        self.room = room
        self.files: set[str] = set()
        self.calls: Counter[str] = Counter()
        self.hand_overs: Counter[tuple[str, str]] = Counter()

    def hear(self, frame: FrameType, event: str, _: Any) -> None:
        """One event of `sys.setprofile`."""
        name = _own(frame) if event == "call" else None
        if name is None:
            return
        self.files.add(name)
        self.calls[frame.f_code.co_name] += 1
        caller = None if frame.f_back is None else _own(frame.f_back)
        if caller and name.startswith(self.room) and caller.startswith(self.room):
            self.hand_overs[caller, name] += caller != name


def _own(frame: FrameType) -> str | None:
    path = Path(frame.f_code.co_filename)
    return path.relative_to(ROOM).as_posix() if path.is_relative_to(ROOM) else None


def main() -> None:
    flow = Flow()
    recipe = make_recipe(RECIPE, where="flow")
    with tempfile.TemporaryDirectory() as folder:
        sys.setprofile(flow.hear)
        try:
            run(prepare(recipe, Path(folder) / "run"))
        finally:
            sys.setprofile(None)
    print(f"files entered:   {len(flow.files)}")
    print(f"hand-overs:      {flow.hand_overs.total()} between files of runs/")
    print(f"networks built:  {flow.calls['build_model']}")
    print(f"stages opened:   {flow.calls['wire']}")
    for (caller, name), count in flow.hand_overs.most_common(5):
        print(f"  {count:3d} {caller} -> {name}")


if __name__ == "__main__":
    main()
