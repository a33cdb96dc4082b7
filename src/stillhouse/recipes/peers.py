"""Peers of a recipe: networks that learn beside the student, from fresh weights of their own."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from stillhouse.methods import METHODS
from stillhouse.recipes.choices import is_own
from stillhouse.recipes.networks import GENERATION, ModelSection, short

PEER_SEEDS = 100 * GENERATION
"""Between the seed of a student and that of its first peer, of the first and the second, ...: far
from those of all teachers, so that no two networks start alike."""


MOST_PEERS = 100


class PeerSection(ModelSection):
    """A network that learns beside the student; its seed is the student's + 100000 per peer."""


Peers = tuple[Annotated[PeerSection, short("model")], ...]


def peer_seed(student_seed: int, number: int) -> int:
    """The seed of a peer, counted from 1, of the student of a seed.

    >>> peer_seed(2, 1), peer_seed(2, 3)
    (100002, 300002)
    """
    return PEER_SEEDS * number + student_seed


def takes_peers(method: str) -> bool:
    """Whether a method needs peers.

    >>> takes_peers("dml"), takes_peers("kd")
    (True, False)
    """
    return any(each.name == method and each.needs_peers for each in METHODS)


def with_peers(values: Any, default_method: str) -> Any:
    """A number of peers as so many of the student's own model; one where a method needs them.

    A network that stands alone is a list of one.

    >>> with_peers({"student": "resnet8", "method": "dml"}, "kd")["peers"]
    ['resnet8']
    """
    if not isinstance(values, Mapping):
        return values
    peers = values.get("peers")
    if peers is None and takes_peers(_word(values.get("method", default_method), "name")):
        peers = 1
    if peers is None or isinstance(peers, list | tuple):
        return values
    if isinstance(peers, str | Mapping):
        return {**values, "peers": [peers]}
    if isinstance(peers, bool) or not isinstance(peers, int) or peers < 1:
        said = f"peers is {peers!r}; say how many networks learn beside the student, or name them"
        raise ValueError(f"{said}: [resnet20, wrn_16_2]")
    if peers > MOST_PEERS:
        raise ValueError(f"peers is {peers:,}, and {MOST_PEERS} is the most")
    model = _model_of(values.get("student"))
    if model is None:
        said = "the student is derived from a teacher, so it has no model that peers could share"
        raise ValueError(f"{said}; name them: peers: [resnet20]")
    return {**values, "peers": [model] * peers}


def _model_of(student: Any) -> str | None:
    """The model that a student's section names, short, written out, or built."""
    found = student.get("model") if isinstance(student, Mapping) else student
    found = getattr(found, "model", found)
    return None if found is None else str(found)


def peers_problem(
    method: str, peers: Sequence[PeerSection] | None, seeds: Sequence[int]
) -> str | None:
    """Why a recipe cannot have these peers; None when all is well."""
    if peers and not takes_peers(method) and not is_own(method):
        found = ", ".join(each.name for each in METHODS if each.needs_peers)
        return f"method '{method}' takes no peers; leave peers out, or take one of {found}"
    if not peers and takes_peers(method):
        return f"method '{method}' needs peers; add peers: 1, or name them: [resnet20]"
    if peers and max(seeds) >= GENERATION:
        return (
            f"seeds {list(seeds)}: peers have seeds from {PEER_SEEDS} on, counted from the "
            f"student's; give the students seeds below {GENERATION}"
        )
    return None


def beside(peers: Sequence[PeerSection] | None) -> str:
    """The peers in a title.

    >>> beside([PeerSection(model="resnet8"), PeerSection(model="resnet20")])
    ' beside resnet8, resnet20'
    """
    return f" beside {', '.join(each.model for each in peers)}" if peers else ""


def _word(section: Any, key: str) -> str:
    """The name in a section that may be short, written out, or built."""
    found = section.get(key) if isinstance(section, Mapping) else getattr(section, key, section)
    return str(found)
