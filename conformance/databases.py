"""The database that the environment names, as riverrun opens it: once for each schema, when needed."""

import os
from typing import Any, Self
from urllib.parse import quote

from riverrun import Client, ConfigurationError, UnsupportedError, open_database

POOL_SIZE = 8
"""Connections of a pool: with another schema's pool, a listener and some transactions fewer than 20."""


class Databases:
    """Each is shared by all clients of its schema, so that there are never more connections."""

    def __init__(self, driver: str, url: str) -> None:
        self.driver = driver
        self.url = url
        self._databases: dict[str, Any] = {}
        self._clients: dict[str, Client] = {}

    @classmethod
    def from_environment(cls) -> Self:
        """Raises `ConfigurationError` for a driver that there is none of."""
        driver = os.environ.get("RIVER_CONFORMANCE_DRIVER", "")
        address = os.environ.get("RIVER_CONFORMANCE_DATABASE_URL", "")
        if driver == "sqlite":
            return cls(driver, f"sqlite:///{os.path.abspath(address)}")  # noqa: PTH100 - text
        if driver != "postgres":
            raise ConfigurationError(f"RIVER_CONFORMANCE_DRIVER: there is no driver {driver!r}")
        return cls(driver, _named(address, os.environ.get("RIVER_CONFORMANCE_APPLICATION_NAME")))

    def get(self, schema: str | None) -> Any:
        """The database, perhaps not yet open, that holds River's tables in `schema`."""
        name = schema or ""
        if name not in self._databases:
            self._databases[name] = self._made(schema or None)
        return self._databases[name]

    def client(self, schema: str | None) -> Client:
        """The client to insert and ask with: the newest that was started, or one that never is."""
        name = schema or ""
        if name not in self._clients:
            self._clients[name] = Client(self.get(schema))
        return self._clients[name]

    def use(self, schema: str | None, client: Client) -> None:
        """From now on `client` is the one for its schema, so that what it inserts wakes it at once."""
        self._clients[schema or ""] = client

    async def close(self) -> None:
        """Let every connection go."""
        for client in self._clients.values():
            await client.close()
        for database in self._databases.values():
            await database.close()

    def _made(self, schema: str | None) -> Any:
        if self.driver == "postgres":
            return open_database(self.url, schema=schema, max_size=POOL_SIZE)
        if schema:
            raise UnsupportedError("schema: SQLite has none")
        return open_database(self.url)


def _named(url: str, name: str | None) -> str:
    """The URL with the name added at its end: taken apart and put together it might say other things."""
    if not name:
        return url
    return f"{url}{'&' if '?' in url else '?'}application_name={quote(name, safe='')}"
