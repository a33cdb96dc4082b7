"""The loop of many papers' code: PIL transforms in loader workers, fp32, NCHW, a live teacher."""

import random
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from contenders.loop import Epoch, Loop
from stillhouse.data import ImageTable

MEAN, STD = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)


class PillowImages(Dataset[tuple[Tensor, int]]):
    """Images of a table, each transformed by itself.

    Args:
        table: square images, three channels.
        augmented: pad by 4 and crop, then flip half of them; else normalise only.
    """

    def __init__(self, table: ImageTable, *, augmented: bool = True) -> None:
        self.images = [Image.fromarray(image.numpy()) for image in table.images]
        self.labels = table.labels.tolist()
        self.augmented = augmented

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        image = self._moved(self.images[row]) if self.augmented else self.images[row]
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float() / 255
        mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
        return (pixels - mean) / std, self.labels[row]

    def _moved(self, image: Image.Image) -> Image.Image:
        side = image.width
        image = ImageOps.expand(image, 4)
        left, top = random.randint(0, 8), random.randint(0, 8)
        image = image.crop((left, top, left + side, top + side))
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return image


def research_loop(
    table: ImageTable,
    student: nn.Module,
    teacher: nn.Module,
    *,
    batch: int,
    workers: int = 2,
    fixed: bool = False,
) -> Loop:
    """Plain distillation, 0.1 CE + 0.9 * 16 * KL at temperature 4, with persistent workers.

    The device is that of the student. The last incomplete batch of an epoch is trained on.

    Args:
        table: training images, uint8 [N, H, W, 3].
        student: trained in place.
        teacher: set to evaluation mode; runs live in each step.
        batch: images per step.
        workers: loader processes; they stay over the epochs.
        fixed: no augmentation, rows in order (for ``agree.py``).
    """
    images = PillowImages(table, augmented=not fixed)
    optimizer = torch.optim.SGD(student.parameters(), 0.05, momentum=0.9, weight_decay=5e-4)
    teacher.eval()

    def training() -> Iterator[Epoch]:
        loader = DataLoader(
            images,
            batch,
            shuffle=not fixed,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
        while True:
            yield _epoch(loader, student, teacher, optimizer)

    return Loop(training)


def _epoch(
    loader: DataLoader[tuple[Tensor, int]],
    student: nn.Module,
    teacher: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> Epoch:
    device = next(student.parameters()).device
    student.train()
    for image, label in loader:
        image, label = image.to(device), label.to(device)
        with torch.no_grad():
            target = teacher(image)
        loss = loss_of(student(image), label, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        yield len(image)


def loss_of(scores: Tensor, label: Tensor, target: Tensor) -> Tensor:
    """0.1 CE(scores, label) + 0.9 * 16 * KL(softmax(target / 4) || softmax(scores / 4))."""
    log_s, log_t = F.log_softmax(scores / 4, 1), F.log_softmax(target / 4, 1)
    soft = F.kl_div(log_s, log_t, reduction="batchmean", log_target=True)
    return 0.1 * F.cross_entropy(scores, label) + 0.9 * 16 * soft
