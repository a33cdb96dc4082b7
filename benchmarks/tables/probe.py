"""A run without labels: agreement with the teacher, and what embeddings are worth on its probe."""

from collections.abc import Sequence

from marks import Results, table
from stillhouse.records.metric import NOTHING, Metric
from stillhouse.records.probe import ProbeRecord
from stillhouse.report.probed import probe_rows
from stillhouse.report.wording import interval
from stillhouse.verdict.spread import spread


def probe(results: Results, _: Sequence[str]) -> str:
    """A row for each network of the one run."""
    (kept,) = results.values()
    told = kept["scores"]
    metric = Metric.model_validate(told["task"]["metric"])
    models = {model["role"]: model for model in told["models"]}
    rows = []
    for row in probe_rows(ProbeRecord.model_validate(told["probe"])):
        model = models.get(row.name)
        found = None if model is None else spread([run["test"]["last"] for run in model["runs"]])
        agreement = NOTHING if found is None else interval(found, metric)
        rows.append([row.name, agreement, row.neighbours, row.linear, row.own])
    titles = [f"network ({metric.unit})", metric.name, "neighbours", "linear", "own classifier"]
    return f"{table(titles, rows)}\n\n{told['verdict']['sentence']}"
