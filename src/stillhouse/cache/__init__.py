"""The teacher cache: a role run once for each (sample, view), served ever after as its signals.

`record` writes a Recording shard by shard, `Replay` is the node that serves it, `replay_problems`
says whether a stage can do with it, `size_of` what it will take.
"""

from stillhouse.cache.codec import LOSSLESS, Storage
from stillhouse.cache.need import Need, needed, nodes_before, recorded_parts, replay_problems
from stillhouse.cache.record import passes_left, record
from stillhouse.cache.recording import Recording, check_directory, open_recording
from stillhouse.cache.replay import Replay
from stillhouse.cache.room import check_room, in_words, room_in, size_of
from stillhouse.cache.witness import batch_problem

__all__ = [
    "LOSSLESS",
    "Need",
    "Recording",
    "Replay",
    "Storage",
    "batch_problem",
    "check_directory",
    "check_room",
    "in_words",
    "needed",
    "nodes_before",
    "open_recording",
    "passes_left",
    "record",
    "recorded_parts",
    "replay_problems",
    "room_in",
    "size_of",
]
