"""Portrait: what a reader wants to see of a transfer set, in two small files
(`stillhouse.records.gallery`).

rows           the rows of a finished synthesis, file by file, checked
concentration  what was asked and what was reached, sorted by size
gallery        which images are shown, how they become pictures, the nearest training images
training       training images from a source, brought to the teacher's form
made           a synthesis -> its portrait
"""

from stillhouse.records.gallery import FACTS, PICTURES
from stillhouse.records.gallery import Gallery as Portrait
from stillhouse.records.gallery import read_gallery as read_portrait
from stillhouse.synthesis.portrait.made import make_portrait
from stillhouse.synthesis.portrait.training import training_images

__all__ = ["FACTS", "PICTURES", "Portrait", "make_portrait", "read_portrait", "training_images"]
