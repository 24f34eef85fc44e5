"""One worker for each kind: what is refused, and that what is refused leaves no trace."""

import msgspec
import pytest

from riverrun import ConfigurationError, Job, Worker, Workers


class New(msgspec.Struct):
    kind = "new"
    kind_aliases = ("old", "older")


class Older(msgspec.Struct):
    kind = "older"


class NewWorker(Worker[New]):
    async def work(self, job: Job[New]) -> None: ...


def test_a_worker_is_registered_under_its_kind_and_its_aliases() -> None:
    workers = Workers()
    workers.add(NewWorker())
    assert workers.kinds() == ["new", "old", "older"]
    assert workers.get("new") is workers.get("older") is not None


def test_a_kind_that_is_registered_is_refused() -> None:
    workers = Workers()
    workers.add(NewWorker())
    with pytest.raises(ConfigurationError, match='worker for kind "new" is already registered'):
        workers.add(NewWorker())


def test_an_alias_that_is_taken_registers_nothing() -> None:
    workers = Workers()

    @workers.work(Older)
    async def work(job: Job[Older]) -> None: ...

    with pytest.raises(ConfigurationError, match='worker for kind "older" is already registered'):
        workers.add(NewWorker())
    assert workers.kinds() == ["older"]


def test_a_kind_that_is_an_alias_of_another_is_refused() -> None:
    workers = Workers()
    workers.add(NewWorker())
    with pytest.raises(ConfigurationError, match='worker for kind "older" is already registered'):
        workers.work(Older)(lambda _job: None)
