"""The teacher cache: a role run once for each (sample, view), served ever after as its signals.

`record` writes a TeacherCache shard by shard, `Replay` is the node that serves it,
`replay_problems` says whether a stage can do with it, `size_of` what it will take.
"""

from stillhouse.cache.leases import Leases
from stillhouse.cache.record import passes_left, record
from stillhouse.cache.replay import (
    Need,
    Replay,
    cached_parts,
    needed,
    nodes_before,
    replay_problems,
)
from stillhouse.cache.spot_check import batch_problem
from stillhouse.cache.storage import (
    LOSSLESS,
    Storage,
    check_copies,
    check_room,
    in_words,
    room_in,
    size_of,
)
from stillhouse.cache.teacher_cache import TeacherCache, check_directory, open_cache

__all__ = [
    "LOSSLESS",
    "Leases",
    "Need",
    "Replay",
    "Storage",
    "TeacherCache",
    "batch_problem",
    "cached_parts",
    "check_copies",
    "check_directory",
    "check_room",
    "in_words",
    "needed",
    "nodes_before",
    "open_cache",
    "passes_left",
    "record",
    "replay_problems",
    "room_in",
    "size_of",
]
