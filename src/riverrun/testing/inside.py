"""The one place where the testing kit looks inside a client, and where a client is lent."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields
from typing import Any

from riverrun.client import client as client_module
from riverrun.client.asking import Asking
from riverrun.client.client import Client
from riverrun.client.config import Config
from riverrun.client.inserting import Inserting
from riverrun.drivers.statement import Database
from riverrun.model.errors import LifecycleError
from riverrun.model.periodic_jobs import PeriodicJobs
from riverrun.runtime.handle import DatabaseHandle

_OF_THE_DATABASE = ("listen_url", "pool_size", "prepared_statements")
"""Options that are about a client's own server, and say nothing about the one of a test."""


def asking(client: Client) -> Asking:
    """What the client asks its database through."""
    return client._asking  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


def inserting(client: Client) -> Inserting:
    """What the client inserts through."""
    return client._inserting  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


def periodic_jobs(client: Client) -> PeriodicJobs:
    """The registry of the client's periodic jobs."""
    return client._periodic_jobs  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


def handle(client: Client) -> DatabaseHandle:
    """The client's database as its running parts see it; `client.open()` comes first."""
    asked = asking(client)
    return DatabaseHandle(asked.database, asked.operations, client.config.clock)


@contextmanager
def work_context(client: Client) -> Generator[None]:
    """Within, `current_client()` gives `client`, for library code that wants to be in a job.

    Example:
        >>> from riverrun import Client, current_client
        >>> client = Client("sqlite://:memory:")
        >>> with work_context(client):
        ...     current_client() is client
        True
    """
    variable: ContextVar[Client] = client_module._current_client  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    token = variable.set(client)
    try:
        yield
    finally:
        variable.reset(token)


@contextmanager
def lent(client: Client, database: str | Database, **options: Any) -> Generator[None]:
    """Within, `client` is as if it had been made with `database`, and `options` over its own.

    It is the same object, so that a program which holds it need not know; what the program has taken
    out of it before, such as `client.jobs`, still means its own database. Raises `LifecycleError`
    for a client that runs.
    """
    own = dict(vars(client))
    if own["_half"] is not None:
        raise LifecycleError(f"{client!r} runs; it can be lent to a test only while it does not")
    jobs = list(periodic_jobs(client).snapshot().values())
    changed: dict[str, Any] = {**_options(client.config), "periodic_jobs": jobs, **options}
    try:
        Client.__init__(client, database, **changed)
        yield
    finally:
        vars(client).update(own)


def _options(config: Config) -> dict[str, Any]:
    names = [field.name for field in fields(config) if field.name not in _OF_THE_DATABASE]
    return {name: getattr(config, name) for name in names}
