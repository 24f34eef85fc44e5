"""Writes down what a module offers: its public names with their signatures, one a line."""

import enum
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def describe(module: ModuleType) -> Iterator[str]:
    """A line for each name in `__all__`, and below a class one for each public member it defines."""
    for name in sorted(getattr(module, "__all__", ())):
        yield from _describe(name, getattr(module, name))


def _describe(name: str, thing: Any) -> Iterator[str]:
    if not inspect.isclass(thing):
        yield f"{name}{_signature(thing)}" if callable(thing) else f"{name}: {type(thing).__name__}"
        return
    yield f"class {name}{_bases(thing)}{_construction(thing)}"
    for member, value in sorted(vars(thing).items()):
        if not member.startswith("_"):
            yield f"  {name}.{member}{_member(value)}"


def _bases(cls: type) -> str:
    """Of exceptions and enums alone, whose bases are what users rely on."""
    if not issubclass(cls, BaseException | enum.Enum):
        return ""
    return f" <- {', '.join(base.__name__ for base in cls.__bases__)}"


def _construction(cls: type) -> str:
    """Exceptions without an `__init__` of their own, and enums, are written differently by each Python."""
    if issubclass(cls, enum.Enum) or (issubclass(cls, BaseException) and "__init__" not in vars(cls)):
        return ""
    return _signature(cls)


def _member(value: Any) -> str:
    match value:
        case staticmethod() | classmethod():
            return _signature(value.__func__)
        case property():
            return f" -> {_annotation(value)}"
        case enum.Enum():
            return f" = {value.value!r}"
        case _ if inspect.isroutine(value):
            return f"{_signature(value)}" if inspect.isfunction(value) else ""
        case _:
            return ""


def _annotation(value: property) -> str:
    return inspect.formatannotation(inspect.signature(value.fget).return_annotation) if value.fget else "?"


def _signature(thing: Any) -> str:
    prefix = "async " if inspect.iscoroutinefunction(thing) else ""
    try:
        return ADDRESS.sub("", f"{inspect.signature(thing)}") + (" [async]" if prefix else "")
    except (TypeError, ValueError):
        return ""
