"""Leases share the work among workers; the dead lose theirs, the slow do no harm."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from tiny import tiny_net

from stillhouse.cache import Leases, record
from stillhouse.cache.leases import FOLDER
from stillhouse.cache.teacher_cache import writing_alone
from stillhouse.data.batches import Batches
from stillhouse.engine.nodes import Role
from stillhouse.engine.observer import NullObserver
from stillhouse.engine.platform import Platform
from stillhouse.records.local_copies import LocalCopies
from stillhouse.records.remote import Location, Remote

pytestmark = pytest.mark.usefixtures("small_shards")


class Clock:
    """A clock that goes on when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(params=["here", "memory://caches/leases"])
def place(request, tmp_path: Path) -> Iterator[Location]:
    MemoryFileSystem.store.clear()
    copies = LocalCopies(tmp_path / "copies", 10**6)
    yield tmp_path / "here" if request.param == "here" else Remote(request.param, copies)
    MemoryFileSystem.store.clear()


def leases(place: Location, clock: Clock) -> Leases:
    return Leases(place, now=lambda: clock.now, pause=clock.wait)


def elsewhere(place: Location, name: str) -> None:
    """Let a lease be of another machine, of which nothing can be asked."""
    file = place / FOLDER / name
    file.write_bytes(json.dumps({**json.loads(file.read_bytes()), "host": "far"}).encode())


def test_one_of_many_has_it_until_it_is_given_back(place) -> None:
    clock = Clock()
    one, other = leases(place, clock), leases(place, clock)
    assert one.take("a")
    assert not other.take("a")
    assert other.take("b")
    assert sorted(one.live()) == ["a", "b"]
    one.give_back("a")
    assert other.take("a")


def test_a_dead_worker_loses_it_by_the_clock_and_a_live_one_keeps_it(place) -> None:
    clock = Clock()
    one, other, third = (leases(place, clock) for _ in range(3))
    assert one.take("a")
    elsewhere(place, "a.0")
    clock.wait(299)
    assert not other.take("a")
    one.renew()  # more than a quarter is over
    clock.wait(299)
    assert not other.take("a")
    clock.wait(1)
    assert other.take("a")
    assert not third.take("a")
    one.give_back("a")  # it was only slow: the one who took over keeps it
    assert not third.take("a")
    other.give_back("a")
    third.remove_dead()
    assert not third.live()


def test_a_process_of_this_machine_that_has_ended_is_dead_at_once(place) -> None:
    clock = Clock()
    one, other = leases(place, clock), leases(place, clock)
    assert one.take("a")
    file = place / FOLDER / "a.0"
    lease = json.loads(file.read_bytes())
    file.write_bytes(json.dumps({**lease, "process": [lease["process"][0], "before"]}).encode())
    assert other.take("a")


def test_a_torn_lease_holds_as_long_as_another(place) -> None:
    clock = Clock()
    one, other = leases(place, clock), leases(place, clock)
    assert one.take("a")
    (place / FOLDER / "a.0").write_bytes(b'{"host": ')
    assert not other.take("a")
    clock.wait(300)
    assert other.take("a")


def test_of_many_who_take_over_one_succeeds(place) -> None:
    clock = Clock()
    assert leases(place, clock).take("a")
    elsewhere(place, "a.0")
    clock.wait(301)
    won, ready = [], threading.Barrier(8)

    def worker() -> None:
        mine = leases(place, clock)
        ready.wait()
        won.append(mine.take("a"))

    threads = [threading.Thread(target=worker) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(won) == 1


class Interrupted(Leases):
    """Lets others do what they can while it holds its first lease, so slowly that it runs out."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def renew(self) -> None:
        others, self.meanwhile = self.meanwhile, lambda: None
        others()


class Steps(NullObserver):
    def __init__(self) -> None:
        self.images: list[int] = []

    def step(self, images: int) -> None:
        self.images.append(images)


def test_workers_share_and_leave_what_one_leaves(
    place, train: Batches, platform: Platform, tmp_path: Path
) -> None:
    """A worker far away is dead, and a slow one is overtaken while it records its first shard."""
    train, clock, given = replace(train, views=2), Clock(), {"a": 1}
    role = Role("teacher", tiny_net(4, 2))
    record(role, ["logits"], train, tmp_path / "alone", given, platform)
    with writing_alone(place, given, print):
        assert leases(place, clock).take("16-0001-00000016")
    elsewhere(place, "16-0001-00000016.0")
    seen: dict[int, list[int]] = {}

    def work(number: int, mine: Leases) -> None:
        observer = Steps()
        record(
            Role("teacher", tiny_net(4, 2)), ["logits"], train, place, given, platform,
            leases=mine, share=(number, 2), observer=observer,
        )  # fmt: skip
        seen[number] = observer.images

    slow = Interrupted(place, now=lambda: clock.now, pause=clock.wait)
    slow.meanwhile = lambda: work(1, leases(place, clock))
    work(0, slow)
    assert seen == {1: [16, 16, 8, 8, 16, 16], 0: [16, 8, 16, 16, 16, 8]}
    assert clock.now == 1300
    assert shards(place) == shards(tmp_path / "alone")
    assert not any(FOLDER in name for name in objects(place))


def objects(place: Location) -> dict[str, bytes]:
    if isinstance(place, Remote):
        return {name: (place / name).read_bytes() for name in place.sizes()}
    files = [path for path in place.rglob("*") if path.is_file()]
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in files}


def shards(place: Location) -> dict[str, bytes]:
    return {name: each for name, each in objects(place).items() if name.endswith(".safetensors")}
