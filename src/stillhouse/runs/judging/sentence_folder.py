"""The student of texts as a folder that others use: its network, and its tokeniser."""

import torch
from torch import Tensor

from stillhouse.data.text.table import PassageTable, TokenTable
from stillhouse.data.text.tokens import FILE
from stillhouse.data.views import PLAIN_VIEW
from stillhouse.deploy.folder import Rows, write_student
from stillhouse.deploy.hub import hub_keys
from stillhouse.deploy.kept_rows import ANSWERS, LABELS, ROWS_FILE, TAKEN
from stillhouse.deploy.predictor import STUDENT
from stillhouse.deploy.sentences import ReadySentences, Sentences
from stillhouse.engine.signals import LOGITS
from stillhouse.errors import DataError
from stillhouse.models.calling import run_on
from stillhouse.models.given import copied, set_eval
from stillhouse.models.outputs import named_outputs
from stillhouse.records.files import write_text
from stillhouse.records.run import Scores
from stillhouse.records.tensors import save_tensors
from stillhouse.runs.job.job import Job
from stillhouse.runs.judging.student_config import student_config
from stillhouse.runs.training.stage_run import LAST, StageRun

ROWS = 64
"""Test rows on which the folder is checked."""


def write_sentence_folder(job: Job, run: StageRun, scores: Scores) -> None:
    """Write the student of the first seed, with the weights of its last epoch, as a folder.

    Raises:
        ExportError: what is written answers something else than the trained student.
    """
    module = copied(run.module(LAST), who=STUDENT).cpu()
    set_eval(module)
    table, data = job.data.splits.test, job.data
    if not isinstance(table, TokenTable | PassageTable):
        raise DataError(f"{table} has no tokens")
    tokens, causal = table.tokens, isinstance(table, PassageTable)
    rows = data.test.show(torch.arange(min(ROWS, len(table))), PLAIN_VIEW)
    given = {name: x.cpu() for name, x in data.inputs(rows).items()}
    with torch.inference_mode():
        said: Tensor = named_outputs(run_on(module, given))[LOGITS].float()
    answers = said[:, -1] if causal else said
    taken = torch.stack([given["input_ids"], given["attention_mask"]], 1)
    wanted = Sentences(
        width=tokens.max_length,
        size=(1, tokens.max_length),
        length=tokens.max_length,
        pad=tokens.pad,
        vocabulary=tokens.vocabulary,
        causal=causal,
    )
    config = student_config(job, run, scores, module, wanted)
    kept = {TAKEN: taken, ANSWERS: answers}
    if not causal:
        kept[LABELS] = rows["batch.label"].cpu()
    save_tensors(job.out / ROWS_FILE, kept, {})
    (job.out / STUDENT).mkdir(exist_ok=True)
    write_text(job.out / STUDENT / FILE, tokens.content)
    metric = job.task.metric
    state = {name: x.clone() if isinstance(x, Tensor) else x
             for name, x in module.state_dict().items()}  # fmt: skip
    write_student(
        job.out / STUDENT,
        config,
        state,
        ReadySentences(module, causal=causal).eval(),
        Rows(taken, answers),
        hub=hub_keys(config.network, config.classes, config.input, module),
        metric=metric.with_unit(config.test.get(metric.name)),
        warn=job.watcher.warn,
    )
