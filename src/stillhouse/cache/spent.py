"""What recording has taken: seconds, noted beside the shards by each worker that made some.

They are no part of a shard, so that shards of equal content have equal bytes and equal names.
"""

import contextlib
import json
import secrets

from stillhouse.records.files import write_bytes
from stillhouse.records.remote import Location, Remote

START = "seconds-"


class Spent:
    """The seconds of one part of a teacher cache.

    Args:
        folder: of the part.
    """

    def __init__(self, folder: Location) -> None:
        self._folder = folder
        self._name = f"{START}{secrets.token_hex(6)}.json"
        self._mine = 0.0

    def add(self, seconds: float) -> None:
        """Add what this worker has spent."""
        self._mine += seconds
        place = self._folder / self._name
        content = json.dumps({"seconds": round(self._mine, 3)}).encode()
        if isinstance(place, Remote):
            place.write_bytes(content)
        else:
            write_bytes(place, content)

    def seconds(self) -> float:
        """What all workers have spent."""
        total = 0.0
        for place in self._folder.glob(f"{START}*.json"):
            with contextlib.suppress(ValueError, TypeError, KeyError, OSError):
                total += float(json.loads(place.read_bytes())["seconds"])
        return total
