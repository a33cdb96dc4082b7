"""The detector of a run as a folder that others use: its weights, and what it is."""

import torch
from torch import nn

from stillhouse.data.detection.table import BoxTable
from stillhouse.deploy.detector import DetectorConfig, DetectorPredictor, write_detector
from stillhouse.deploy.predictor import STUDENT
from stillhouse.deploy.program import ExportError
from stillhouse.models.detectors.adapter import DETECTIONS
from stillhouse.recipes.choices import IMPORT
from stillhouse.records.run import Scores
from stillhouse.runs.job.job import Job
from stillhouse.runs.training.stage_run import StageRun

CHECKED = 4
"""Test images on which the folder is checked."""


def write_detector_folder(job: Job, run: StageRun, scores: Scores, module: nn.Module) -> None:
    """Write the student of the first seed, and check that it finds the same once it is loaded.

    Raises:
        ExportError: what is written finds something else.
    """
    table = job.data.splits.train
    if not isinstance(table, BoxTable):
        return
    section, metric = job.student.section, job.task.metric
    own = job.student.source is not None or section.model.startswith(IMPORT)
    (student,) = [model for model in scores.models if model.role == STUDENT]
    config = DetectorConfig(
        model=None if own else section.model.removesuffix(":pretrained"),
        arguments=dict(section.arguments),
        classes=tuple(map(str, job.data.splits.classes)),
        frame=table.frame,
        longest=table.longest,
        about={
            "title": scores.title,
            "method": scores.method.name,
            metric.name: student.runs[0].test.last,
            "trained on": f"{scores.data.name} ({scores.data.train:,} training images)",
            "epoch": f"seed {run.training.settings.seed}, last epoch ({run.epochs})",
        },
    )
    write_detector(job.out / STUDENT, config, module)
    job.watcher.warn(
        "no program (pt2) and no ONNX file of the student is written: boxes are suppressed "
        "in loops whose length depends on the image; load student/ by stillhouse.load"
    )
    if config.model is None:
        return
    loaded = DetectorPredictor(job.out / STUDENT)
    rows = torch.arange(min(CHECKED, len(job.data.splits.test)))
    image = job.data.test.show(rows, -1)["batch.image"].cpu()
    with torch.inference_mode():
        wanted, found = module(image)[DETECTIONS], loaded.model(image)[DETECTIONS]
    if not torch.allclose(wanted, found, rtol=1e-4, atol=1e-3):
        raise ExportError(
            f"{job.out / STUDENT} finds other boxes than the student that was trained; report it"
        )
