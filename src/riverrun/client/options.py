"""What a client is made with, for both faces: which database it is given, and its options."""

import os
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from riverrun.client.config import Config
from riverrun.drivers.url import DEFAULT_URL, ENVIRONMENT_VARIABLE, is_in_memory
from riverrun.model.errors import ConfigurationError


def given(database: object, kind: Any) -> Any:
    """The open database that was given; None for a URL or nothing, and an error for all else."""
    if database is None or isinstance(database, str):
        return None
    if isinstance(database, kind):
        return database
    raise ConfigurationError(
        f"database: {database!r} is neither a URL nor a {kind.__name__}; give one like "
        f"`postgresql://user@host/name` or `sqlite:///jobs.db`"
    )


def url_of(database: object) -> str | None:
    """The URL to open; None where an open database was given, or the environment names one."""
    if database is None:
        return None if os.environ.get(ENVIRONMENT_VARIABLE) else DEFAULT_URL
    return database if isinstance(database, str) else None


def is_own(database: object) -> bool:
    """Whether the database is nobody else's, so that the client makes it and its tables."""
    url = url_of(database)
    return url is not None and (database is None or is_in_memory(url))


def client_config(**options: Any) -> Config:
    """A misspelt option is named, with what may be meant."""
    known = [field.name for field in fields(Config)]
    for name in options:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
            raise ConfigurationError(f"there is no client option {name!r}; {hint}")
    return Config(**options)


def options_of(config: Config) -> dict[str, Any]:
    """The options that make the same configuration again, its id and its clock included."""
    return {field.name: getattr(config, field.name) for field in fields(Config)}
