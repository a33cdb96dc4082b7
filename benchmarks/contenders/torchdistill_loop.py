"""torchdistill from PyPI, driven by its configuration and by the loop that its users run."""

import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

from contenders.loop import Epoch, Loop
from contenders.torchvision_operators import declare_missing_operators
from stillhouse.data import ImageTable
from stillhouse.errors import MissingExtra

CONFIGURATION = Path(__file__).with_name("torchdistill_kd.yaml")


class CifarImages(Dataset[tuple[Tensor, int]]):
    """A table served as torchvision serves CIFAR: a PIL image per sample, then its transforms."""

    def __init__(self, table: ImageTable, transform: Callable[[Image.Image], Tensor]) -> None:
        self.data = table.images.numpy()
        self.targets = table.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.data[row])), self.targets[row]


def torchdistill_loop(
    table: ImageTable,
    student: nn.Module,
    teacher: nn.Module,
    *,
    batch: int,
    workers: int = 2,
    fixed: bool = False,
) -> Loop:
    """Plain distillation by torchdistill's DistillationBox and its own classes.

    Workers start anew in each epoch, as with the configurations of its authors; the last incomplete
    batch of an epoch is trained on, the meters of its example script are updated in each step. Not
    part of an epoch here: the validation and the checkpoint of that script.

    torchdistill leaves the mode of the teacher alone; it is set to evaluation here (else its batch
    norms would use, and go on changing, the statistics of the batches). Its parameters are frozen.

    Args:
        table: training images, uint8 [N, 32, 32, 3], on the CPU.
        student: trained in place; its device is that of the training.
        teacher: runs live in each step.
        batch: images per step.
        workers: loader processes.
        fixed: no augmentation, rows in order (for ``agree.py``).

    Raises:
        MissingExtra: torchdistill or torchvision is not installed.
    """
    _require_packages()
    from torchdistill.common.yaml_util import load_yaml_file
    from torchdistill.core.distillation import get_distillation_box

    given = load_yaml_file(str(CONFIGURATION))
    kind = "fixed" if fixed else "train"
    settings = given["train"]
    loader = settings["train_data_loader"]
    loader["sampler"]["class_or_func"] = given["samplers"][kind]
    loader["kwargs"].update(
        batch_size=batch, num_workers=workers, pin_memory=torch.cuda.is_available()
    )
    datasets = {loader["dataset_id"]: CifarImages(table, given["transforms"][kind])}
    device = next(student.parameters()).device
    box = get_distillation_box(teacher.eval(), student, datasets, settings, device, None, False, 1)

    def training() -> Iterator[Epoch]:
        epoch = 0
        while True:
            yield _epoch(box, epoch, device, settings["log_freq"])
            epoch += 1

    return Loop(training)


def _epoch(box: Any, epoch: int, device: torch.device, log_every: int) -> Epoch:
    from torchdistill.misc.log import MetricLogger, SmoothedValue

    meters = MetricLogger(delimiter="  ")
    meters.add_meter("lr", SmoothedValue(window_size=1, fmt="{value}"))
    meters.add_meter("img/s", SmoothedValue(window_size=10, fmt="{value}"))
    box.pre_epoch_process(epoch=epoch)
    batches = meters.log_every(box.train_data_loader, log_every, f"Epoch: [{epoch}]")
    for image, label, extra in batches:
        start = time.time()
        image, label = image.to(device), label.to(device)
        loss = box.forward_process(image, label, extra)
        box.post_forward_process(loss=loss)
        meters.update(loss=loss.item(), lr=box.optimizer.param_groups[0]["lr"])
        meters.meters["img/s"].update(len(image) / (time.time() - start))
        if torch.isnan(loss) or torch.isinf(loss):
            raise SystemExit("the loss is not finite")
        yield len(image)
    box.post_epoch_process()


def _require_packages() -> None:
    for package in ("torchdistill", "torchvision"):
        if find_spec(package) is None:
            raise MissingExtra("the contender torchdistill", package, "bench")
    declare_missing_operators()
