"""What starting costs: ``import stillhouse`` against ``import torch``, and ``stillhouse --help``.

    python benchmarks/start_up.py        # writes benchmarks/results/start_up.json

Fresh processes, interleaved, medians.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
ROUNDS = 9
COMMANDS = {
    "import torch": [sys.executable, "-c", "import torch"],
    "import torch, stillhouse": [
        sys.executable,
        "-c",
        "import torch, stillhouse; stillhouse.Stage, stillhouse.Role, stillhouse.functional",
    ],
    "stillhouse --help": [sys.executable, "-m", "stillhouse", "--help"],
}


def main() -> None:
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - start)
    medians = {name: round(statistics.median(values), 4) for name, values in seconds.items()}
    added = medians["import torch, stillhouse"] / medians["import torch"] - 1
    result = {
        "command": "python benchmarks/start_up.py",
        "median_seconds": medians,
        "added_to_import_torch": round(added, 4),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "start_up.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
