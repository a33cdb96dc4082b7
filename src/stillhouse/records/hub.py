"""The Hugging Face hub is asked without a line for each of its retries."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def asking_hub() -> Iterator[None]:
    """Keep the warnings of huggingface_hub for its retries to itself; what comes of them is told.

    Without a connection it asks six times in half a minute, and says so twice each time; after
    that the caller has one sentence.

    >>> with asking_hub():
    ...     logging.getLogger("huggingface_hub.utils").warning("Retrying in 1s [Retry 1/5].")
    """
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
