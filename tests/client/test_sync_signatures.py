"""`SyncClient` has the nouns and verbs of `Client`, name for name and parameter for parameter."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from riverrun import Client, Subscription, SyncClient, SyncSubscription
from riverrun.client.jobs import Jobs
from riverrun.client.queues import Queues
from riverrun.client.sync_jobs import SyncJobs
from riverrun.client.sync_queues import SyncQueues

PAIRS: list[tuple[type, type]] = [
    (Client, SyncClient),
    (Jobs, SyncJobs),
    (Queues, SyncQueues),
    (Subscription, SyncSubscription),
]
ADDED = {
    ("SyncClient", "running"): "a program without a loop has no block in which a worker runs",
    ("SyncSubscription", "get"): "it takes a timeout, since nothing else could end the waiting",
}
"""What differs, and why; there is nothing that `Client` has and `SyncClient` has not."""


def members(cls: type) -> dict[str, Any]:
    names = {name for base in cls.__mro__[:-1] for name in vars(base) if not name.startswith("_")}
    return {name: inspect.getattr_static(cls, name) for name in names}


def parameters(function: Callable[..., Any]) -> list[tuple[str, Any, Any, Any]]:
    found = inspect.signature(function).parameters.values()
    return [(one.name, one.kind, one.default, one.annotation) for one in found]


@pytest.mark.parametrize(("face", "sync"), PAIRS)
def test_the_names_are_the_same(face: type, sync: type) -> None:
    added = {name for owner, name in ADDED if owner == sync.__name__}
    assert members(sync).keys() - added == members(face).keys() - added


@pytest.mark.parametrize(("face", "sync"), PAIRS)
def test_the_parameters_are_the_same(face: type, sync: type) -> None:
    for name, member in members(face).items():
        other = members(sync)[name]
        assert type(member) is type(other), name
        if inspect.isfunction(member) and (sync.__name__, name) not in ADDED:
            assert parameters(member) == parameters(other), name


@pytest.mark.parametrize(("face", "sync"), PAIRS[:3])
def test_the_results_are_the_same(face: type, sync: type) -> None:
    different = {"subscribe", "list"}  # a stream to be read without await
    for name, member in members(face).items():
        if inspect.isfunction(member) and (face, name) != (Queues, "list"):
            ours = inspect.signature(members(sync)[name]).return_annotation
            theirs = inspect.signature(member).return_annotation
            assert (ours == theirs) is not (name in different), name


@pytest.mark.parametrize(("face", "sync"), PAIRS)
def test_nothing_of_the_synchronous_face_has_to_be_awaited(face: type, sync: type) -> None:
    assert [
        name for name, member in members(sync).items() if inspect.iscoroutinefunction(member)
    ] == []


def test_both_are_made_with_the_same_options() -> None:
    ours, theirs = parameters(SyncClient.__init__), parameters(Client.__init__)
    assert [one[:3] for one in ours] == [one[:3] for one in theirs]


def test_the_attributes_are_the_same() -> None:
    client, sync = Client("sqlite://:memory:"), SyncClient("sqlite://:memory:")
    public = {name for name in vars(client) if not name.startswith("_")}
    assert public == {name for name in vars(sync) if not name.startswith("_")}
