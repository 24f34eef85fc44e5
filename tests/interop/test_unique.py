"""A unique job of one is the same job to the other, exactly when it should be."""

from typing import Any

from tests.interop.conftest import Pair
from tests.interop.peer import Message, Peer
from tests.interop.reading import query
from tests.interop.vectors import NEIGHBOURS, OPTIONS, a_value, values


def insert(peer: Peer, jobs: list[Message]) -> list[Message]:
    """What became of each."""
    results: list[Message] = peer.ask("insert", jobs)
    return results


def ids(results: list[Message]) -> list[int]:
    return [result["job"]["id"] for result in results]


def test_the_same_job_is_a_duplicate_in_the_other(pair: Pair) -> None:
    """With every sort of options; no two of these are the same job."""
    one, other = pair
    jobs = [a_value(unique=unique) for unique in OPTIONS]
    first, again = insert(one, jobs), insert(other, jobs)
    assert [result["skipped"] for result in first] == [False] * len(jobs)
    assert [result["skipped"] for result in again] == [True] * len(jobs)
    assert ids(again) == ids(first)


def test_a_job_that_differs_in_what_counts_is_none(pair: Pair) -> None:
    one, other = pair
    insert(one, [first for first, _ in NEIGHBOURS])
    results = insert(other, [second for _, second in NEIGHBOURS])
    assert [result["skipped"] for result in results] == [False] * len(NEIGHBOURS)


def test_args_of_every_sort_are_the_same_to_both(pair: Pair, database_url: str) -> None:
    """Texts, numbers and objects are hashed as Go writes them."""
    one, other = pair
    jobs = values(count=300)
    first, again = insert(one, jobs), insert(other, jobs)
    assert [result["skipped"] for result in again] == [True] * len(jobs)
    assert ids(again) == ids(first)
    ((keys,),) = query(database_url, "select count(distinct unique_key) from river_job")
    assert keys == len(jobs)


def test_some_args_alone_may_count(pair: Pair) -> None:
    """Go's tags and our list of fields name the same ones, a nested one among them."""
    one, other = pair
    first, again, neighbour = (an_order(note="a"), an_order(note="b", name="B"), an_order(id="c2"))
    (inserted,) = insert(one, [first])
    results = insert(other, [again, neighbour])
    assert [result["skipped"] for result in results] == [True, False]
    assert results[0]["job"]["id"] == inserted["job"]["id"]


def an_order(*, note: str = "a", name: str = "A", id: str = "c1") -> Message:  # noqa: A002 - the field's name
    args: dict[str, Any] = {"note": note, "number": 7, "customer": {"name": name, "id": id}}
    return {"kind": "interop_order", "args": args, "unique": {"by_args": True}}


def test_a_key_holds_in_the_states_that_were_asked_for(pair: Pair) -> None:
    """Once the job of one is cancelled, the other inserts it anew; a completed one still counts."""
    one, other = pair
    job = a_value(unique={"by_args": True})
    (first,) = insert(one, [job])
    one.ask("cancel", first["job"]["id"])
    other.start()
    (second,) = insert(other, [job])
    assert not second["skipped"]
    assert other.ended(second["job"]["id"])["state"] == "completed"
    assert insert(one, [job])[0]["job"]["id"] == second["job"]["id"]
