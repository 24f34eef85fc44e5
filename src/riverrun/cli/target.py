"""Finds the client that `MODULE:CLIENT` names, by importing the module."""

import importlib
import os
import sys
import traceback
from types import ModuleType

import click

from riverrun.cli.terminal import printable
from riverrun.client.client import Client


def load_client(target: str) -> Client:
    """The client in a module of the user's, or the one that a function there returns.

    The working directory is looked in first. Importing runs the module's code. A name that is not
    there is a mistake in usage; what the module's own code raises is a failure.
    """
    module_name, separator, path = target.partition(":")
    if not (module_name and separator and path):
        raise click.UsageError(
            f"{target!r} is not of the form MODULE:CLIENT, such as app.jobs:client"
        )
    module = _imported(module_name)
    found = _attribute(module, path)
    return found if isinstance(found, Client) else _made_by(found, target)


def _imported(name: str) -> ModuleType:
    here = os.getcwd()  # noqa: PTH109 - the search path is made of strings
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise click.UsageError(
                f"there is no module {error.name!r} in {here} or among the installed ones"
            ) from error
        raise _failure(f"importing {name}", error) from error
    except Exception as error:
        raise _failure(f"importing {name}", error) from error


def _attribute(module: ModuleType, path: str) -> object:
    found: object = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise click.UsageError(
                f"module {module.__name__!r} has no {path!r}{_clients(module)}"
            ) from error
    return found


def _clients(module: ModuleType) -> str:
    names = [name for name, value in vars(module).items() if isinstance(value, Client)]
    return f"; its clients: {', '.join(names)}" if names else "; nothing in it is a Client"


def _made_by(found: object, target: str) -> Client:
    if not callable(found) or isinstance(found, type):
        raise click.UsageError(
            f"{target} is a {type(found).__name__}; give a Client, or a function that returns one"
        )
    try:
        made: object = found()
    except Exception as error:
        raise _failure(f"calling {target}", error) from error
    if not isinstance(made, Client):
        raise click.UsageError(f"{target}() returned a {type(made).__name__}, not a Client")
    return made


def _failure(doing: str, error: Exception) -> click.ClickException:
    """One line that says what the user's code raised, and where."""
    text = f"{doing} failed: {type(error).__name__}: {printable(str(error))}"
    frames = traceback.extract_tb(error.__traceback__)
    if frames:
        text += f" ({frames[-1].filename}, line {frames[-1].lineno})"
    return click.ClickException(f"{text}; --debug shows more")
