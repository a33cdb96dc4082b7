"""Gallery: what a reader wants to see of a transfer set, in two small files.

(what it holds is in `stillhouse.records.gallery`)
rows      the rows of a finished synthesis, file by file, checked
pictures  which images are shown, how they look, the nearest training images
build     a synthesis -> its gallery
"""

from stillhouse.records.gallery import (
    FACTS,
    PICTURES,
    Gallery,
    Impression,
    read_gallery,
)
from stillhouse.synthesis.gallery.build import make_gallery
from stillhouse.synthesis.gallery.pictures import training_images

__all__ = [
    "FACTS",
    "PICTURES",
    "Gallery",
    "Impression",
    "make_gallery",
    "read_gallery",
    "training_images",
]
