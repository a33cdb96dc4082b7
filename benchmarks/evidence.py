"""The tables of the docs that come from result files, written anew with the words of today's test.

    python benchmarks/evidence.py            # rewrites what stands between the marks of each page
    python benchmarks/evidence.py --check    # only says which pages differ; exit code 1 if any does
    python benchmarks/evidence.py --prose    # numbers of the prose that no result file explains

Result files keep the test metric of every seed, so gains, intervals and words are those of the test
as it is now; what a result file of an earlier day lacks is said below its table.
"""

import argparse
import sys
from collections.abc import Mapping

import verdict
from marks import MARKED, Writer, rewritten
from prose import unexplained
from result_files import ROOT
from tables.answers import answers
from tables.arms import arms
from tables.bare import bare
from tables.claims import claims
from tables.hour import hour
from tables.int8 import int8
from tables.large import kinds, large_data, nodes, orders
from tables.machines import actors, faults, processes, workers
from tables.probe import probe
from tables.projector import projectors, weights
from tables.runs import kd, methods, scale
from tables.seeds import seeds
from tables.students import students
from tables.verification import costs, figures, gains
from tables.words import both, counts

DOCS = ROOT / "docs"
OTHERS = tuple(
    DOCS / name
    for name in (
        *("results.md", "statistics.md", "deploy.md", "first-hour.md", "many-machines.md"),
        *("data.md", "large-scale.md", "running.md"),
    )
)
PAGES = (ROOT / "README.md", *sorted((DOCS / "evidence").glob("*.md")), *OTHERS)
WRITERS: Mapping[str, Writer] = {
    "actors": actors,
    "answers": answers,
    "arms": arms,
    "bare": bare,
    "both": both,
    "claims": claims,
    "costs": costs,
    "counts": counts,
    "faults": faults,
    "figures": figures,
    "gains": gains,
    "hour": hour,
    "integers": int8,
    "kd": kd,
    "kinds": kinds,
    "large": large_data,
    "methods": methods,
    "nodes": nodes,
    "orders": orders,
    "probe": probe,
    "processes": processes,
    "projectors": projectors,
    "scale": scale,
    "seeds": seeds,
    "simulation": verdict.simulation,
    "students": students,
    "weights": weights,
    "workers": workers,
}


def written(page: str) -> str:
    """A page with all its tables written anew.

    Raises:
        ValueError: a mark of a kind that nobody writes.
    """
    strange = {found["kind"] for found in MARKED.finditer(page)} - set(WRITERS)
    if strange:
        raise ValueError(f"no table is called {', '.join(strange)}; there are {', '.join(WRITERS)}")
    return rewritten(page, WRITERS)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--prose", action="store_true", help="numbers that no result file explains")
    asked, differ = parser.parse_args(), 0
    for page in PAGES:
        before, name = page.read_text("utf-8"), page.relative_to(ROOT)
        if asked.prose:
            for number, line in unexplained(before):
                print(f"{name}: {number} in: {line}")
            continue
        after = written(before)
        differ += after != before
        if after != before and asked.check:
            print(f"{name}: its tables are not those of its result files")
        elif after != before:
            page.write_text(after, "utf-8")
            print(f"{name}: rewritten")
    return int(asked.check and differ > 0)


if __name__ == "__main__":
    sys.exit(main())
