"""What is wrong with a cluster is told before Ray tries for long; a real one is in `ecosystem`."""

import socket
import sys
from types import ModuleType

import pytest

from stillhouse.cli.options import check_on
from stillhouse.errors import MissingExtra, RecipeError, RunError
from stillhouse.on_ray.cluster import ray_at
from stillhouse.on_ray.home import Home, answered


def test_without_the_package_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'stillhouse\[ray\]'"):
        ray_at(None)


@pytest.mark.parametrize("address", ["head", "ray://head:10001", "head:port", ":6379"])
def test_an_address_that_is_none_is_refused(address: str, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    with pytest.raises(RecipeError, match="no address of a cluster; write HOST:PORT of its head"):
        ray_at(address)


def test_where_nobody_listens_no_cluster_answers(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(RecipeError, match=f"no cluster of Ray answers at {address}"):
            ray_at(None)


def test_options_that_mean_nothing_are_refused() -> None:
    assert check_on("ray", "head:6379")
    assert not check_on(None, None)
    with pytest.raises(RecipeError, match="there is no 'dask'"):
        check_on("dask", None)
    with pytest.raises(RecipeError, match="add --on ray"):
        check_on(None, "head:6379")


def test_who_works_elsewhere_says_what_is_missing_there(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="their numbers differ; install the same on all machines"):
        Home(1, torch="1.0").enter()
    gone = Home(1, directory=str(tmp_path / "gone"))
    assert "need one file system, with the same paths" in answered(gone.enter).problem
    assert "disk is full" in answered(lambda: (_ for _ in ()).throw(OSError(28, "x", "f"))).problem
    with pytest.raises(ZeroDivisionError):
        answered(lambda: 1 / 0)
