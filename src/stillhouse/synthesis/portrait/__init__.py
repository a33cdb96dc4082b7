"""Portrait: what a reader wants to see of a transfer set, in two small files.

facts          the numbers, as they are written to transfer.json
rows           the rows of a finished synthesis, file by file, checked
concentration  what was asked and what was reached, sorted by size
gallery        which images are shown, how they become pictures, the nearest training images
training       training images from a source, brought to the teacher's form
made           a synthesis -> its portrait
files          the portrait, written and read
"""

from stillhouse.synthesis.portrait.files import FACTS, PICTURES, Portrait, read_portrait
from stillhouse.synthesis.portrait.made import make_portrait
from stillhouse.synthesis.portrait.training import training_images

__all__ = ["FACTS", "PICTURES", "Portrait", "make_portrait", "read_portrait", "training_images"]
