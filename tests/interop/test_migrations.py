"""Tables made by one are the tables of the other."""

from tests.interop.conftest import Open
from tests.migrations.catalogue import Catalogue, postgres_catalogue, sqlite_catalogue

ALL = [1, 2, 3, 4, 5, 6, 7, 8]


def migrated_twice(one: str, other: str, url: str, open_peer: Open) -> list[object]:
    """What each migrator did, one after the other, and what the first says of it then."""
    first, second = open_peer(one, url), open_peer(other, url)
    done = [first.ask("migrate"), second.ask("migrate")]
    return [*done, first.ask("validate"), second.ask("validate")]


def test_a_migrator_finds_nothing_to_do_after_the_other(
    languages: tuple[str, str], empty_database_url: str, open_peer: Open
) -> None:
    found = migrated_twice(*languages, empty_database_url, open_peer)
    assert found == [ALL, [], True, True]


def test_river_is_content_with_a_database_that_has_our_own_table_too(
    database_url: str, open_peer: Open
) -> None:
    go = open_peer("go", database_url)
    assert go.ask("migrate") == []
    assert go.ask("validate") is True


def test_both_migrators_make_the_same_catalogue(empty_database_url: str, open_peer: Open) -> None:
    catalogues: list[Catalogue] = []
    for language in ("go", "python"):
        peer = open_peer(language, empty_database_url)
        peer.ask("migrate")
        catalogues.append(catalogue(empty_database_url))
        peer.ask("migrate_down")
    assert "river_job columns" in catalogues[0]
    assert catalogues[0] == catalogues[1]


def catalogue(url: str) -> Catalogue:
    """Without regard to case, in which SQLite keeps statements as they were given."""
    is_sqlite = url.startswith("sqlite")
    found = (
        sqlite_catalogue(url.removeprefix("sqlite:///")) if is_sqlite else postgres_catalogue(url)
    )
    return {heading: [line.casefold() for line in lines] for heading, lines in found.items()}
