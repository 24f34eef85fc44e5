import re

import pytest

from riverrun.drivers.asyncpg import AsyncpgDatabase
from riverrun.drivers.asyncpg_settings import asyncpg_settings
from riverrun.drivers.url import check_schema_name, open_database, redact, sqlite_path
from riverrun.model.errors import ConfigurationError


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "PostgreSQL"])
def test_postgres_urls_are_for_asyncpg(scheme: str) -> None:
    database = open_database(f"{scheme}://localhost/app", schema="jobs", max_size=3)
    assert isinstance(database, AsyncpgDatabase)
    assert database.dialect.schema == "jobs"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///jobs.db", "jobs.db"),
        ("sqlite://jobs.db", "jobs.db"),
        ("sqlite:////var/lib/jobs.db", "/var/lib/jobs.db"),
        ("sqlite://:memory:", ":memory:"),
        ("sqlite:///:memory:", ":memory:"),
    ],
)
def test_sqlite_urls_name_a_file(url: str, path: str) -> None:
    assert sqlite_path(url) == path
    assert open_database(url).dialect.name == "sqlite"


def test_without_a_url_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVERRUN_DATABASE_URL", "postgresql://localhost/app")
    assert open_database(None).dialect.is_postgres
    monkeypatch.delenv("RIVERRUN_DATABASE_URL")
    assert open_database(None).dialect.name == "sqlite"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://me:secret@host/app", "there is no driver for `mysql`"),
        ("host=localhost password=secret", "is not a database URL"),
        ("", "is not a database URL"),
        ("/var/lib/jobs.db", "is not a database URL"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:///jobs.db?mode=ro", "SQLite URLs have none"),
        ("postgresql://me:secret@host/app?channel_binding=require", "verify-full"),
        ("postgresql://me:secret@[host/app", "cannot be read"),
    ],
)
def test_a_url_that_cannot_work_is_refused_without_its_password(url: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(says)) as refused:
        open_database(url)
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@host/app", "postgresql://me:***@host/app"),
        ("postgresql://me:sec@ret@host/app", "postgresql://me:***@host/app"),
        ("postgresql://me:se/cr:et@host/app", "postgresql://me:***@host/app"),
        ("postgresql://:secret@host/app", "postgresql://:***@host/app"),
        ("postgresql://host/app?password=secret&a=b", "postgresql://host/app?password=***&a=b"),
        ("postgresql://host?sslpassword=secret", "postgresql://host?sslpassword=***"),
        ("host=h password='sec ret' user=me", "host=h password=*** user=me"),
        ("postgresql://me@host:5432/app", "postgresql://me@host:5432/app"),
        ("sqlite:///jobs.db", "sqlite:///jobs.db"),
    ],
)
def test_redact_hides_passwords_and_nothing_else(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_a_database_does_not_show_its_password() -> None:
    assert "secret" not in repr(open_database("postgresql://me:secret@host/app"))


@pytest.mark.parametrize("schema", [None, "jobs", "Jobs_2", "_", "a" * 46])
def test_plain_schema_names_are_taken(schema: str | None) -> None:
    check_schema_name(schema)


@pytest.mark.parametrize("schema", ["", "2jobs", "my jobs", 'a"b', "jobs\n", "jäbs", "a" * 47])
def test_other_schema_names_are_refused(schema: str) -> None:
    with pytest.raises(ConfigurationError, match="schema"):
        check_schema_name(schema)


def test_sqlite_refuses_options_of_postgres() -> None:
    with pytest.raises(ConfigurationError, match="`max_size`"):
        open_database("sqlite:///jobs.db", max_size=3)


def test_a_pool_has_at_least_one_connection() -> None:
    with pytest.raises(ConfigurationError, match="max_size"):
        open_database("postgresql://localhost/app", max_size=0)


def test_what_only_other_drivers_know_is_not_sent_to_the_server() -> None:
    url = "postgresql://host/app?pool_max_conns=4&options=-c%20search_path=a,b&connect_timeout=3"
    settings = asyncpg_settings(url, connect_timeout=10)
    assert settings["dsn"] == "postgresql://host/app?options=-c%20search_path=a,b"
    assert settings["timeout"] == 3


def test_an_application_name_in_the_url_wins() -> None:
    ours = asyncpg_settings("postgresql://host/app", connect_timeout=10)
    theirs = asyncpg_settings("postgresql://host/app?application_name=shop", connect_timeout=10)
    assert ours["server_settings"] == {"application_name": "riverrun"}
    assert theirs["server_settings"] == {}
