"""The tables of data larger than a machine, and of a cache on many nodes, on paper."""

from collections.abc import Sequence

from marks import Results


def large_data(results: Results, _: Sequence[str]) -> str:
    """Each form of the data: memory of the process that trains and of a loader, room of copies."""
    (found,) = results.values()
    rows = [
        [
            row["data"],
            f"{row['peak_mib_before_load']:,.0f}",
            f"{row['peak_mib_after_load']:,.0f}",
            f"{row['peak_mib']:,.0f}",
            f"{row['peak_mib_of_a_loader']:,.0f}",
            f"{row['most_mib_of_copies']:,.0f}" if row["most_mib_of_copies"] else "",
            f"{row['seconds_to_load']:,.0f}",
        ]
        for row in found["rows"]
    ]
    titles = ("data", "MiB of memory before", "loaded", "at most", "a loader", "MiB of copies",
              "seconds to load")  # fmt: skip
    return _table(titles, rows)


def kinds(results: Results, _: Sequence[str]) -> str:
    """What a view of all images takes, by how it is stored."""
    (found,) = results.values()
    rows = [
        [
            row["what"],
            f"{row['bytes_per_image']:,}",
            f"{row['terabytes_per_view']:,.3g}",
            f"{row['rows_per_shard']:,}",
            f"{row['shards_per_view']:,}",
            f"{row['requests_per_view'] / 1e6:,.1f}",
        ]
        for row in found["kinds"]
    ]
    titles = ("stored", "bytes of an image", "TB of a view", "images of a shard", "shards",
              "million requests")  # fmt: skip
    return _table(titles, rows)


def nodes(results: Results, _: Sequence[str]) -> str:
    """Hours of recording one view: estimated, simulated, simulated with deaths."""
    (found,) = results.values()
    rows = [
        [
            f"{row['images_per_second_of_a_node']:,}",
            row["what"],
            f"{row['hours_estimated']:,.2f}",
            f"{row['hours_simulated']:,.2f}",
            f"{row['hours_simulated_with_deaths']:,.2f}",
            f"{row['megabytes_per_second_of_a_node']:,.1f}",
            f"{row['requests_per_second_of_all']:,.0f}",
        ]
        for row in found["runs"]
    ]
    titles = ("images/s of a node", "stored", "hours, estimated", "simulated", "with deaths",
              "MB/s of a node", "requests/s of all")  # fmt: skip
    return _table(titles, rows)


def orders(results: Results, _: Sequence[str]) -> str:
    """What the order of an epoch costs a process."""
    (found,) = results.values()
    rows = [
        [f"{row['rows']:,}", f"{row['cpu_seconds']:.2f}", f"{row['bytes_per_row']:.0f}"]
        for row in found["orders"]
    ]
    return _table(("rows", "CPU seconds", "bytes a row, at most"), rows)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Words to the left, numbers to the right."""
    columns = list(zip(*rows, strict=True))
    right = [all(each.replace(",", "").replace(".", "").isdecimal() for each in column if each)
             for column in columns]  # fmt: skip
    lines = [titles, ["---:" if number else "---" for number in right], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
