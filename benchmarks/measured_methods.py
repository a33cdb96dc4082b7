"""What `stillhouse ls methods` says that each method gained and cost, out of its result file.

    python benchmarks/measured_methods.py

writes `src/stillhouse/methods/measured.json`; a test compares it with the result file. Of a method
that the study ran with several settings, the first arm is taken, which has its defaults or comes
closest to them.
"""

import json
from typing import Any

from result_files import RESULTS, ROOT

SOURCE = "cifar100-methods.json"
MEASURED = ROOT / "src" / "stillhouse" / "methods" / "measured.json"


def measured() -> dict[str, Any]:
    """The file's content: what was trained, and of each method the gain in points, and the time."""
    study = json.loads((RESULTS / SOURCE).read_text(encoding="utf-8"))["study"]
    found: dict[str, Any] = {}
    for arm in study["arms"]:
        gain = arm.get("gain")
        if gain is None or arm["method"] in found:
            continue
        controls = arm.get("controls") or study["arms"][0]["controls"]
        # Machines are shared: the fastest seed was disturbed least.
        slower = min(arm["runs"]["seconds"]) / min(controls["seconds"])
        found[arm["method"]] = {
            **{key: round(100 * gain[key], 2) for key in ("mean", "low", "high")},
            "times": round(slower, 1),
        }
    first, data = study["arms"][0], study["data"]
    return {
        "file": f"benchmarks/results/{SOURCE}",
        "about": f"{data['name']}, {data['train']:,} images, {first['student_model']}, "
        f"{first['epochs']} epochs, {first['gain']['seeds']} seeds",
        "methods": found,
    }


def text() -> str:
    """As it is kept."""
    return json.dumps(measured(), indent=1) + "\n"


if __name__ == "__main__":
    MEASURED.write_text(text(), encoding="utf-8")
