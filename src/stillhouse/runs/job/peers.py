"""Peers: the networks that learn beside the student."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from stillhouse.engine.stage import Stage
from stillhouse.errors import ModelError, RecipeError
from stillhouse.models import weights_fingerprint
from stillhouse.recipes.peers import PeerSection, peer_seed
from stillhouse.runs.job.data import JobData
from stillhouse.runs.job.networks import Network, make_network


@dataclass(frozen=True)
class Peers:
    """How to make the networks that learn beside a student; none for most methods.

    >>> Peers().make(0)
    []
    """

    networks: tuple[Network, ...] = ()

    def make(self, student_seed: int) -> list[nn.Module]:
        """Fresh peers of the student of this seed, each of a seed of its own."""
        return [
            network.make(peer_seed(student_seed, at))
            for at, network in enumerate(self.networks, start=1)
        ]

    def headed(self, stage: Stage, modules: Sequence[nn.Module]) -> Stage:
        """The stage with the classifiers that the recipe names, what it freezes and what it slows.

        Args:
            stage: in which they learn.
            modules: the peers, as they were made.
        """
        for at, (network, module) in enumerate(zip(self.networks, modules, strict=True), start=1):
            stage = network.slowed(stage, f"peer{at}", module)
            stage = stage.freeze(f"peer{at}", network.section.frozen)
            stage = stage.headed(f"peer{at}", network.section.head_now)
        return stage

    def identity(self, modules: Sequence[nn.Module]) -> dict[str, Any]:
        """What a fingerprint must know of them, as they were made; empty when there is none."""
        found = [
            {"network": network.section.model, **network.identity(0, module)}
            for network, module in zip(self.networks, modules, strict=True)
        ]
        return {"peers": found} if found else {}


def check_apart(student: nn.Module, peers: Sequence[nn.Module]) -> None:
    """Make sure that no two networks of a student's group start with the same weights.

    Raises:
        ModelError: two do, so that neither has anything to tell the other.
    """
    known = {weights_fingerprint(student, who="student"): "the student"}
    for at, module in enumerate(peers, start=1):
        twin = known.setdefault(weights_fingerprint(module, who=f"peer {at}"), name := f"peer {at}")
        if twin != name:
            raise ModelError(
                f"{name} starts with the very weights of {twin}, so they have nothing to tell "
                "each other; leave its weights or start out, name another network, or give a "
                "function that makes a fresh one"
            )


def make_peers(
    sections: Sequence[PeerSection],
    sources: Sequence[Any] | None,
    student: Network,
    data: JobData,
    *,
    allow_imports: bool = False,
) -> Peers:
    """The peers for the classes and images of the data.

    A peer of the student's own model is made as the student is, also where that is an object.

    Args:
        sections: of the recipe.
        sources: objects in their place, None where the name is enough; or none at all.
        student: how the student is made.
        data: of the run.
        allow_imports: whether ``python:package.module:function`` may be imported.

    Raises:
        RecipeError: there are as many objects as peers, or none.
    """
    given = list(sources) if sources else [None] * len(sections)
    if len(given) != len(sections):
        said = f"{len(given)} objects are given for {len(sections)} peers"
        raise RecipeError("peers", [f"{said}; give one for each, None where the name is enough"])
    networks = []
    for section, source in zip(sections, given, strict=True):
        if source is None and section.model == student.section.model:
            source = student.source
        networks.append(make_network(section, data, source, allow_imports=allow_imports))
    return Peers(tuple(networks))
