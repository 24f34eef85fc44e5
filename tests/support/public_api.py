"""Writes down what a module offers: its public names with their signatures, one a line."""

import enum
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

# How `**options: Unpack[X]` prints before Python 3.12.
UNPACKED = re.compile(r"\*<class '([\w.]+)'>")
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def describe(module: ModuleType) -> Iterator[str]:
    """A line for each name in `__all__`, and below a class one for each public member it defines."""
    for name in sorted(getattr(module, "__all__", ())):
        thing = getattr(module, name)
        if inspect.isclass(thing):
            yield from _class(name, thing)
        else:
            yield _value(name, thing)


def _class(name: str, cls: type) -> Iterator[str]:
    yield f"class {name}{_construction(cls)}{_bases(cls)}"
    for member in sorted(_members(cls)):
        value = getattr(cls, member)
        # The fields of a slotted class are in its signature already.
        if not member.startswith("_") and not inspect.ismemberdescriptor(value):
            yield f"    {_value(f'{name}.{member}', value)}"


def _members(cls: type) -> set[str]:
    """Those of private bases are its own, as far as users can see."""
    own = [base for base in cls.__mro__ if base is cls or base.__name__.startswith("_")]
    return {name for base in own for name in vars(base)}


def _value(name: str, thing: Any) -> str:
    if isinstance(thing, enum.Enum):
        return f"{name} = {thing.value!r}"
    if isinstance(thing, property):
        return f"{name} -> {_result(thing)}"
    if callable(thing):
        asynchronous = inspect.iscoroutinefunction(thing) or inspect.isasyncgenfunction(thing)
        return f"{'async ' if asynchronous else ''}{name}{_signature(thing)}"
    return f"{name}: {type(thing).__name__}"


def _construction(cls: type) -> str:
    """Enums, and exceptions without an `__init__` of their own, look different on each Python."""
    plain_exception = issubclass(cls, BaseException) and "__init__" not in vars(cls)
    return "" if plain_exception or issubclass(cls, enum.Enum) else _signature(cls)


def _bases(cls: type) -> str:
    """Of exceptions and enums alone: users catch and compare by them."""
    if not issubclass(cls, BaseException | enum.Enum):
        return ""
    return f" is a {', '.join(base.__name__ for base in cls.__bases__)}"


def _result(thing: property) -> str:
    return (
        inspect.formatannotation(inspect.signature(thing.fget).return_annotation)
        if thing.fget
        else "?"
    )


def _signature(thing: Any) -> str:
    try:
        text = ADDRESS.sub("", str(inspect.signature(thing)))
        return UNPACKED.sub(r"Unpack[\1]", text)
    except (TypeError, ValueError):
        return ""
