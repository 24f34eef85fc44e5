"""Runs killers, each in a process of its own, against a copy of the source with one mutant in it."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from tests.mutants.mutant import ROOT, SOURCE, Mutant, NoLongerAppliesError

LIMIT = 30
"""Seconds for one killer, as for any test."""
LIMIT_IF_IT_HANGS = 8
LONGEST = 120
"""Seconds until a process is given up."""
FEW_PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
PLUGINS = tuple(
    f"-p{plugin}"
    for plugin in (
        "pytest_asyncio.plugin",
        "pytest_timeout",
        "pytest_benchmark.plugin",
        "no:cacheprovider",
    )
)
"""To load all that are installed would take twice as long."""
MISTAKES = ("NameError", "UnboundLocalError", "AttributeError", "ImportError", "SyntaxError")
"""What fails with these is no mutant but a slip of the pen."""


@dataclass(frozen=True, slots=True)
class Verdict:
    mutant: Mutant
    is_caught: bool
    why: str
    seconds: float


def judge(mutant: Mutant) -> Verdict:
    """Whether its killer fails because of it."""
    began = perf_counter()
    try:
        with copied(mutant) as source:
            limit = LIMIT_IF_IT_HANGS if mutant.hangs else LIMIT
            limits = f"--timeout={limit}", "-o", "timeout_func_only=true"
            code, output = run_tests(source, "-x", *limits, mutant.killer)
    except NoLongerAppliesError as error:
        return Verdict(mutant, False, f"no longer applies: {error}", perf_counter() - began)
    is_caught, why = _verdict(mutant, code, output)
    return Verdict(mutant, is_caught, why, perf_counter() - began)


def _verdict(mutant: Mutant, code: int, output: str) -> tuple[bool, str]:
    failed = re.search(rf"^FAILED {re.escape(mutant.killer)}(?: - (.*))?$", output, re.MULTILINE)
    if code == 0:
        return False, "SURVIVES"
    if code != 1 or failed is None:
        return False, f"pytest ended with {code}: {output.strip()[-300:]}"
    why = failed[1] or "failed"
    if why.startswith(MISTAKES):
        return False, f"broken: {why}"
    if why.startswith("Failed: Timeout") and not mutant.hangs:
        return False, f"only out of time: {why}"
    return True, why


def problems_without(mutants: Sequence[Mutant]) -> list[str]:
    """The killers that do not pass on the source as it is."""
    killers = sorted({mutant.killer for mutant in mutants})
    with copied() as source:
        code, output = run_tests(source, "-rpfEs", "--tb=line", *killers)
    passed = set(re.findall(r"^PASSED (.*)$", output, re.MULTILINE))
    problems = [f"does not pass as it is: {killer}" for killer in killers if killer not in passed]
    if not problems and code == 0:
        return []
    return [
        *problems,
        *re.findall(r"^(?:FAILED|ERROR|SKIPPED) .*$", output, re.MULTILINE),
        output[-300:],
    ]


@contextmanager
def copied(mutant: Mutant | None = None) -> Iterator[Path]:
    """A copy of src/, with the mutant in it."""
    with tempfile.TemporaryDirectory(prefix="riverrun-mutant-") as folder:
        source = Path(folder) / "src"
        shutil.copytree(SOURCE, source)
        for path, text in (mutant.texts(source) if mutant is not None else {}).items():
            path.write_text(text, "utf-8")
            for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
                compiled.unlink()
        yield source


def run_tests(source: Path, *arguments: str) -> tuple[int, str]:
    """The exit code and the output of pytest, for the riverrun in `source`."""
    environment = {**os.environ, "PYTHONPATH": str(source), "COLUMNS": "200", **FEW_PLUGINS}
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", *PLUGINS]
    try:
        done = subprocess.run(
            [*command, *arguments],
            cwd=ROOT,
            env=environment,
            timeout=LONGEST,
            capture_output=True,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, f"no end after {LONGEST} s"
    return done.returncode, done.stdout + done.stderr
