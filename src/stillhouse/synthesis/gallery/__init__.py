"""Gallery: what a reader wants to see of a transfer set, in two small files.

record    the numbers and pictures, written to and read from transfer.json and transfer.safetensors
rows      the rows of a finished synthesis, file by file, checked
pictures  which images are shown, how they look, the nearest training images
build     a synthesis -> its gallery
"""

from stillhouse.synthesis.gallery.build import make_gallery
from stillhouse.synthesis.gallery.pictures import training_images
from stillhouse.synthesis.gallery.record import (
    FACTS,
    PICTURES,
    Gallery,
    Impression,
    read_gallery,
)

__all__ = [
    "FACTS",
    "PICTURES",
    "Gallery",
    "Impression",
    "make_gallery",
    "read_gallery",
    "training_images",
]
