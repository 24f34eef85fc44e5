"""A decorated function is a job whose args are its signature."""

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from riverrun.model.codec import codec_for
from riverrun.model.errors import ConfigurationError, PayloadError
from riverrun.model.insert import InsertOptions
from riverrun.worker.context import Job
from riverrun.worker.function_job import function_job


def send_email(
    to: str,
    subject: str = "Hi",
    kind: str = "plain",
    *,
    html: bool = False,
    cc: list[str] = [],  # noqa: B006 - each call gets its own
) -> str:
    """Send an e-mail."""
    return f"{to} {subject} {kind} {html} {cc}"


async def sort(words: list[str]) -> list[str]:
    return sorted(words)


def report(job: Job[Any], day: int) -> tuple[Any, int]:
    return job, day


def job_with(args: Any) -> Any:
    class Fake:
        def __init__(self) -> None:
            self.args = args

    return Fake()


def test_the_functions_name_is_the_kind_unless_one_is_given() -> None:
    assert function_job(send_email).kind == "send_email"
    assert function_job(send_email, kind="mail:send").kind == "mail:send"
    assert function_job(send_email, kind_aliases=["mail"]).kind_aliases == ("mail",)


def test_calling_it_runs_the_function() -> None:
    send = function_job(send_email)
    assert send("a@b.c", html=True) == "a@b.c Hi plain True []"
    assert send.__doc__ == "Send an e-mail."


def test_a_call_is_a_value_with_a_field_for_each_parameter() -> None:
    call = function_job(send_email).call("a@b.c", kind="long", html=True)
    assert codec_for(type(call)).encode(call) == (
        '{"to":"a@b.c","subject":"Hi","kind":"long","html":true,"cc":[]}'
    )
    assert repr(call).startswith("send_email(to='a@b.c'")


def test_equal_calls_are_equal() -> None:
    send = function_job(send_email)
    assert send.call("a", "b") == send.call("a", subject="b") != send.call("a", "c")


def test_each_call_has_defaults_of_its_own() -> None:
    send = function_job(send_email)
    first, second = send.call("a"), send.call("a")
    first.cc.append("x")  # type: ignore[attr-defined]
    assert second.cc == []  # type: ignore[attr-defined]


def test_arguments_are_bound_as_a_call_binds_them() -> None:
    call: Callable[..., Any] = function_job(send_email).call
    for arguments in ((), ("a", "b", "c", True)):
        with pytest.raises(TypeError):
            call(*arguments)
    with pytest.raises(TypeError):
        call("a", colour="red")


def test_arguments_of_the_wrong_type_are_refused_when_inserted() -> None:
    send = function_job(send_email)
    call: Callable[..., Any] = send.call
    with pytest.raises(PayloadError, match=r"\$\.to"):
        send.codec.encode(call(7))


def test_working_it_passes_the_stored_arguments() -> None:
    send = function_job(send_email)
    args = send.codec.decode('{"to":"a","html":true,"new":1}')
    assert send.work(job_with(args)) == "a Hi plain True []"


async def test_a_coroutine_function_is_worked_as_one() -> None:
    sorter = function_job(sort)
    work = sorter.work
    assert inspect.iscoroutinefunction(inspect.unwrap(work))
    assert await work(job_with(sorter.call(["b", "a"]))) == ["a", "b"]
    assert await sorter(["b", "a"]) == ["a", "b"]


def test_a_first_parameter_annotated_job_gets_the_job_and_is_no_arg() -> None:
    reporter = function_job(report)
    call = reporter.call(day=3)
    job = job_with(call)
    assert reporter.codec.encode(call) == '{"day":3}'
    assert reporter.work(job) == (job, 3)
    assert reporter(job, 4) == (job, 4)


def test_insert_options_come_from_the_decorator() -> None:
    base = InsertOptions(queue="mail", priority=2)
    job = function_job(send_email, options=base, priority=3)
    assert job.insert_options == InsertOptions(queue="mail", priority=3)
    with pytest.raises(ConfigurationError, match=r"send_email: .* did you mean 'queue'\?"):
        function_job(send_email, queu="mail")  # type: ignore[call-overload]


def star(*args: int) -> None: ...
def double_star(**kwargs: int) -> None: ...
def positional_only(a: int, /) -> None: ...
def unannotated(a) -> None: ...  # type: ignore[no-untyped-def] # pyright: ignore
def late_job(a: int, job: Job[Any]) -> None: ...
def unknown_type(a: "Gone") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def foreign(a: Iterator[object]) -> None: ...
def x(a: int) -> None: ...
def generator(a: int) -> Iterator[int]:
    yield a


REFUSED: list[tuple[Any, str]] = [
    (star, r"star\(\): \*args: int cannot be stored"),
    (double_star, r"\*\*kwargs: int cannot be stored"),
    (positional_only, "a: int cannot be stored"),
    (unannotated, "'a' has no annotation"),
    (late_job, "the job must be the first parameter"),
    (unknown_type, "name 'Gone' is not defined"),
    (foreign, "cannot be read from JSON"),
    (generator, "yields"),
    (partial(send_email, "a"), "is no function"),
    (object, "is no function"),
]


@pytest.mark.parametrize(("function", "reason"), REFUSED)
def test_functions_that_cannot_be_jobs_are_refused_with_the_reason(
    function: Any, reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        function_job(function)
