"""The student of a run as a folder that others use: what of a job goes into it."""

import torch
from torch import Tensor, nn

from stillhouse.data.pixels import to_pixels
from stillhouse.data.tables import FloatTable, ImageTable, Table, images_of
from stillhouse.data.views import PLAIN_VIEW
from stillhouse.deploy.folder import Rows, write_student
from stillhouse.deploy.hub import hub_keys
from stillhouse.deploy.kept_rows import ANSWERS, CALIBRATION, LABELS, ROWS_FILE, TAKEN
from stillhouse.deploy.predictor import STUDENT
from stillhouse.deploy.preprocessing import Inside, OwnInput, Preprocessing
from stillhouse.deploy.ready import Ready, embedder
from stillhouse.engine.evaluate import sum_of
from stillhouse.models.given import copied, set_eval
from stillhouse.models.outputs import LogitsOnly
from stillhouse.records.metric import CLASSIFICATION
from stillhouse.records.run import Scores
from stillhouse.records.tensors import save_tensors
from stillhouse.runs.job.data import JobData
from stillhouse.runs.job.job import Job
from stillhouse.runs.judging.detector_folder import write_detector_folder
from stillhouse.runs.judging.student_config import student_config
from stillhouse.runs.judging.threshold import threshold_of
from stillhouse.runs.training.stage_run import LAST, StageRun

ROWS = 64
"""Test rows on which the folder is checked."""
CALIBRATED = 128
"""Training rows that are kept for the ranges of an int8 file."""


def write_student_folder(job: Job, run: StageRun, scores: Scores) -> None:
    """Write the student of the first seed, with the weights of its last epoch, as a folder.

    Args:
        job: of the run.
        run: the training of that student.
        scores: of the run.

    Raises:
        ExportError: what is written answers something else than the trained student.
    """
    module = copied(run.module(LAST), who=STUDENT).cpu()
    set_eval(module)
    if job.task.rows_are == "boxes":
        write_detector_folder(job, run, scores, module)
        return
    section, embeds = job.student.section, job.task.measured == "embedding"
    data, own = job.data, job.student_input
    network = embedder(module, section.head_path) if embeds else module
    rows = data.test.show(torch.arange(min(ROWS, len(data.splits.test))), PLAIN_VIEW)
    image = rows["batch.image"].cpu()
    found = pixels_of(data, data.splits.test.take(torch.arange(len(image))), image)
    inside = _inside(job, pixels=found is not None)
    ready = Ready(network, inside, unit=embeds).eval()

    def forms(image: Tensor) -> list[Tensor]:
        return [form if own is None else own(form) for form in job.task.forms(image)]

    def given(image: Tensor) -> Tensor:
        answers = sum_of([LogitsOnly(network)(each) for each in forms(image)]).float()
        return nn.functional.normalize(answers, dim=1) if embeds else answers

    with torch.inference_mode():
        answers, seen = given(image), forms(image[:1])
    taken, wanted = found or (image, _prepared(image))
    normal = inside.own or inside
    settled = {"mean": normal.mean, "std": normal.std, "inside": inside}
    settled["size"] = tuple(seen[0].shape[2:])
    config = student_config(job, run, scores, module, wanted.model_copy(update=settled))
    found_at = threshold_of(job, given) if job.task.open_set and embeds else None
    if found_at is not None:
        config = config.model_copy(update={"threshold": found_at[0], "at_threshold": found_at[1]})
    metric = job.task.metric
    learnt = data.seen(CALIBRATED)
    few = learnt.show(torch.arange(len(learnt.table)), PLAIN_VIEW)["batch.image"].cpu()
    calibration = pixels_of(data, learnt.table, few)
    kept = {TAKEN: taken, ANSWERS: answers, CALIBRATION: calibration[0] if calibration else few}
    if job.task.name == CLASSIFICATION.name:
        kept[LABELS] = rows["batch.label"].cpu()
    save_tensors(job.out / ROWS_FILE, kept, {})
    write_student(
        job.out / STUDENT,
        config,
        module.state_dict(),
        ready,
        Rows(taken, answers),
        hub=hub_keys(config.network, config.classes, config.input, module),
        metric=metric.with_unit(config.test.get(metric.name)),
        warn=job.watcher.warn,
    )


def pixels_of(data: JobData, table: Table, image: Tensor) -> tuple[Tensor, Preprocessing] | None:
    """The rows of a table as pixels, uint8 [B, C, H, W], and how they come from images.

    None where the input is no pixels.

    Args:
        data: of the run.
        table: a few rows.
        image: the same rows as they are shown, [B, C, h, w].
    """
    shown = data.test.augment
    if data.eval_transform is not None or isinstance(table, FloatTable):
        return None
    rows = range(len(table))
    table = images_of(table, "a student's folder")
    if isinstance(table, ImageTable):
        stored = table.stored(torch.tensor(rows))
        read = list(table.images[stored].permute(0, 3, 1, 2).cpu())
    else:
        read = [to_pixels(table.read(row), table.where(row)) for row in rows]
    if any(each.dtype != torch.uint8 for each in read):
        return None
    channels, height, width = image.shape[1:]
    wanted = Preprocessing(
        pixels=True,
        channels=channels,
        height=height,
        width=width,
        size=(height, width),
        held=read[0].shape[1] if shown.size else 0,
        resize=shown.resize,
    )
    return torch.stack([wanted.of(each) for each in read]), wanted


def _prepared(image: Tensor) -> Preprocessing:
    """Of an input that somebody's own transform prepares."""
    channels, height, width = image.shape[1:]
    return Preprocessing(
        pixels=False, channels=channels, height=height, width=width, size=(height, width)
    )


def _inside(job: Job, *, pixels: bool) -> Inside:
    """What stands before the network in evaluation."""
    shown, own = job.data.test.augment, job.student_input
    return Inside(
        pixels=pixels,
        mean=shown.mean,
        std=shown.std,
        own=None
        if own is None
        else OwnInput(
            size=own.size,
            channels=own.channels,
            bgr=own.bgr,
            pad=own.pad,
            mean=tuple(own.to_mean.flatten().tolist()),
            std=tuple(own.to_std.flatten().tolist()),
        ),
        mirrored=len(job.task.forms(torch.zeros(1, 1, 1, 1))) > 1,
    )
