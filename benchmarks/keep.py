"""Keep the numbers of a run as a result file that the docs can name.

python benchmarks/keep.py runs/cifar100-kd "stillhouse run recipes/cifar100-kd.yaml -o ..."
"""

import argparse
import json
from pathlib import Path

import yaml

from stillhouse.records.files import write_json

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="directory of a finished run")
    parser.add_argument("command", help="the command that made it")
    parser.add_argument("--name", help="name of the result file (default: that of the directory)")
    arguments = parser.parse_args()
    run = arguments.run
    kept = {
        "command": arguments.command,
        "scores": json.loads((run / "scores.json").read_text()),
        "recipe": yaml.safe_load((run / "resolved.yaml").read_text()),
        "environment": json.loads((run / "environment.json").read_text()),
    }
    target = RESULTS / f"{arguments.name or run.name}.json"
    write_json(target, kept)
    print(f"{target.name}: {kept['scores']['verdict']['sentence']}")


if __name__ == "__main__":
    main()
