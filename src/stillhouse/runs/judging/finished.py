"""A run that is finished: recognised, checked file by file, and given back as it is.

Nothing is written and nothing is trained for it. ``scores.json`` is the mark that it is done: it
says what decided the run, and holds a checksum of every file that was written before it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillhouse.deploy.folder import FILES
from stillhouse.deploy.kept_rows import ROWS_FILE
from stillhouse.deploy.predictor import STUDENT
from stillhouse.errors import RunError
from stillhouse.recipes.choices import IMPORT
from stillhouse.recipes.schema import resolved
from stillhouse.records.answers import ANSWERS
from stillhouse.records.boxes_shown import BOXES
from stillhouse.records.checked import checksums_of, missing_files
from stillhouse.records.costs import COSTS
from stillhouse.records.examples import EXAMPLES
from stillhouse.records.fingerprint import fingerprint, first_difference
from stillhouse.records.gallery import FACTS, PICTURES
from stillhouse.records.products import PRODUCTS, check_products
from stillhouse.records.run import METRICS, SCORES, SERVED, Scores
from stillhouse.records.stage import STAGE, StageRecord
from stillhouse.runs.directory import CLAIM, ENVIRONMENT, same_run
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.networks import Network
from stillhouse.runs.training.training import student_directory

LISTED = (
    *(
        ANSWERS,
        EXAMPLES,
        BOXES,
        ENVIRONMENT,
        METRICS,
        PRODUCTS,
        COSTS,
        SERVED,
        FACTS,
        PICTURES,
        ROWS_FILE,
    ),
    *(f"{STUDENT}/{name}" for name in FILES),
)
"""Files of a run beside scores.json, which has a checksum of each that there is."""
AGAIN = "delete it, and the same command makes it again from what was trained"


def decisive(job: Job) -> dict[str, str]:
    """What decides the numbers of a run, as far as is known before a teacher is trained.

    Not where it is computed: a finished run is finished on every machine.
    """
    seed = job.recipe.seeds[0]
    teachers = [each.network for each in job.teachers if not each.members]
    networks = {"student": [job.student], "peers": job.peers.networks, "teacher": teachers}
    parts: Mapping[str, Any] = {
        "recipe": same_run(resolved(job.recipe)),
        "data": job.data.identity(),
        **{role: [_behind_name(each, seed) for each in some] for role, some in networks.items()},
        "method": job.method_code,
    }
    return {name: fingerprint({name: part}) for name, part in parts.items()}


def _behind_name(network: Network, seed: int) -> Mapping[str, Any]:
    """What may change of a network under the same name: an object, a file, code of one's own."""
    section = network.section
    named = network.source is None and not section.model.startswith(IMPORT)
    untouched = section.weights is None and section.start is None
    return {} if named and untouched else network.identity(seed)


def checksums(out: Path) -> dict[str, str]:
    """The checksums that scores.json holds, by name."""
    return checksums_of(out, [name for name in LISTED if (out / name).is_file()])


def finished(job: Job) -> Scores | None:
    """The scores of a run that is finished and whole; None where something is still to be made.

    What was deleted is made again by going on with the run; what was changed is never overwritten.

    Raises:
        RunError: the directory belongs to another run, a file of it is damaged or was edited, or
            the data, a network or the method are no longer what they were.
    """
    out = job.out
    if not (out / SCORES).is_file():
        return None
    CLAIM.begun(out, resolved(job.recipe))
    kept = Scores.read(out / SCORES)
    difference = first_difference(decisive(job), kept.decisive)
    if difference is not None:
        raise RunError(
            f"the run in {out} is finished, and was made with another {difference.key}; choose "
            f"another directory for the run (-o DIR), or delete {out}"
        )
    missing = missing_files(out, kept.files, RunError, AGAIN)
    missing += [] if missing else check_products(out)
    for seed in job.recipe.seeds:
        directory = student_directory(job, seed)
        if not (directory / STAGE).is_file():
            return None
        missing += _missing_of_stage(directory)
    return None if missing else kept


def _missing_of_stage(directory: Path) -> list[str]:
    again = StageRecord.AGAIN.format(directory=directory)
    record = StageRecord.read(directory / STAGE)
    return missing_files(directory, record.sha256, RunError, again)
