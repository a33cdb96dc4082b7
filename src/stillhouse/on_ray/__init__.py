"""Recordings and studies on a Ray cluster; the only room that knows Ray.

What is computed, and how it goes on after a kill, is of the rooms below: leases of the teacher
cache, trainings under their fingerprints, the pieces of a study. Ray places them, has them again
where a process died, and nothing else.
"""

from stillhouse.on_ray.cluster import joined
from stillhouse.on_ray.home import Home
from stillhouse.on_ray.recording import Recorded, Recording, record_on
from stillhouse.on_ray.studying import on_cluster

__all__ = ["Home", "Recorded", "Recording", "joined", "on_cluster", "record_on"]
