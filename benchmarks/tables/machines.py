"""The tables of teacher caches on object stores and of workers that record together."""

from collections.abc import Sequence

from marks import Results


def faults(results: Results, _: Sequence[str]) -> str:
    """Each fault, what happened, whether the answer was the same, seconds."""
    (found,) = results.values()
    rows = [
        [row["fault"], row["what happened"], _yes(row["answer equal"]), f"{row['seconds']:.0f}"]
        for row in found["faults"]
    ]
    return _table(("fault", "what happened", "answer equal", "seconds"), rows)


def workers(results: Results, _: Sequence[str]) -> str:
    """Each recording: where, how its workers ended, whether it equals that of one worker."""
    return _workers(results, ray=False)


def actors(results: Results, _: Sequence[str]) -> str:
    """The same on a cluster of this machine."""
    return _workers(results, ray=True)


def processes(results: Results, _: Sequence[str]) -> str:
    """Each launcher: how far its student is from that of one process; what a kill does to it."""
    (found,) = results.values()
    whole = [row for row in found["processes"] if "told" not in row]
    killed = {row["what"]: row for row in found["processes"] if "told" in row}
    rows = []
    for row in whole:
        kill = killed.get(row["what"])
        after = ["", "", "", ""]
        if kill is not None:
            after = [str(kill["exit"]), str(kill["exit of the same command"]),
                     _yes(kill["bit-equal"]), f"{kill['seconds until it ended']:.0f}"]  # fmt: skip
        rows.append([row["what"], f"{row['largest difference']:.1e}", *after])
    titles = ("started by", "weights differ by", "one killed: exit code", "the same command",
              "bit-equal", "seconds until it ended")  # fmt: skip
    return _table(titles, rows)


def _workers(results: Results, *, ray: bool) -> str:
    (found,) = results.values()
    rows = [
        [row["what"], row["where"], ", ".join(map(str, row["exits"])), str(row["shards"]),
         _yes(row["bit-equal to one worker's"]), f"{row['seconds']:.0f}"]
        for row in found["workers"]
        if (row["where"] == "Ray") is ray
    ]  # fmt: skip
    return _table(("workers", "where", "exit codes", "shards", "bit-equal", "seconds"), rows)


def _yes(value: bool) -> str:
    return "yes" if value else "**no**"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Words to the left, the last column to the right."""
    lines = [titles, [*["---"] * (len(titles) - 1), "---:"], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
