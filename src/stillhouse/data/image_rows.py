"""The images of a table by their bytes: whether two tables have some in common."""

import hashlib

from stillhouse.data.tables import ImageTable, Table, image_bytes


def image_marks(table: Table) -> list[str]:
    """A mark of each image that is held in memory; none of images that are read one by one.

    >>> import torch
    >>> images = torch.tensor([0, 1, 0], dtype=torch.uint8).view(3, 1, 1, 1)
    >>> len(set(image_marks(ImageTable(images, torch.zeros(3, 0)))))
    2
    """
    if not isinstance(table, ImageTable):
        return []
    return [hashlib.sha256(image_bytes(image)).hexdigest() for image in table.images]
