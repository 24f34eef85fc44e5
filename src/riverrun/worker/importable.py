"""Where another process finds a function or a class again: by its module and its name in it.

What stands in a script that was started as such is found by its file, which the other process runs
under another name than `__main__`, as Python's `multiprocessing` does: what only the program itself
is to do has to stand under `if __name__ == "__main__":`.
"""

import importlib
import importlib.util
import sys
from functools import reduce
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from riverrun.model.errors import ConfigurationError

MAIN = "__main__"
MAIN_ELSEWHERE = "__mp_main__"


class Importable(msgspec.Struct, frozen=True):
    """The address of a function or class; `file` only for a script."""

    module: str
    name: str
    file: str | None = None


def importable(thing: Any, what: str) -> Importable:
    """The address of `thing`; raises `ConfigurationError`, beginning with `what`, if it has none."""
    module: str | None = getattr(thing, "__module__", None)
    name: str | None = getattr(thing, "__qualname__", None)
    if module is None or name is None or "<" in name:
        raise ConfigurationError(
            f"{what}: {name or repr(thing)} cannot be imported by a child process; define it at the "
            f"top level of a module"
        )
    if module != MAIN:
        return Importable(module, name)
    return _in_main(name, what)


def here(address: Importable) -> Any:
    """What this process has at an address of its own; None if there is nothing."""
    module = sys.modules.get(MAIN if address.file or _is_main(address.module) else address.module)
    return _walk(module, address.name)


def find(address: Importable) -> Any:
    """Import what is at an address; raises `ConfigurationError` if there is nothing."""
    if address.file is None:
        module = importlib.import_module(address.module)
    else:
        module = sys.modules.get(MAIN_ELSEWHERE) or _run_script(address.file)
    found = _walk(module, address.name)
    if found is None:
        raise ConfigurationError(f"{address.module} has no {address.name} in a child process")
    return found


def _in_main(name: str, what: str) -> Importable:
    main = sys.modules[MAIN]
    if main.__spec__ is not None and not main.__spec__.name.endswith(MAIN):
        return Importable(main.__spec__.name, name)
    file = getattr(main, "__file__", None)
    if main.__spec__ is not None or file is None or not Path(file).is_file():
        raise ConfigurationError(
            f"{what}: {name} stands in __main__, which a child process cannot import; move it into a "
            f"module"
        )
    return Importable(MAIN, name, str(Path(file).resolve()))


def _is_main(module: str) -> bool:
    spec = getattr(sys.modules[MAIN], "__spec__", None)
    return spec is not None and spec.name == module


def _run_script(file: str) -> ModuleType:
    loader = SourceFileLoader(MAIN_ELSEWHERE, file)
    spec = importlib.util.spec_from_loader(MAIN_ELSEWHERE, loader)
    assert spec is not None, "only a loader that cannot tell gives none"  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[MAIN_ELSEWHERE] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[MAIN_ELSEWHERE]
        raise
    return module


def _walk(module: ModuleType | None, name: str) -> Any:
    return reduce(lambda thing, part: getattr(thing, part, None), name.split("."), module)
