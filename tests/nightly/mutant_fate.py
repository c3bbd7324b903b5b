"""What becomes of a mutant: the tests that run its lines, in a child of its own, until one fails."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from mutants import Mutant, code

PATIENCE = 90.0
"""Seconds after which a mutant that does not end counts as noticed."""
NOTHING_RUN = "nothing run"
QUICK = ("-q", "-p", "no:cacheprovider", "--assert=plain")
"""That a test fails is all that is asked, so nothing is rewritten to tell why."""


@dataclass(frozen=True, slots=True)
class Test:
    """One test: how long it takes and which lines of which module it runs."""

    name: str
    seconds: float
    lines: dict[str, frozenset[int]]


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module other code than its file holds."""

    def __init__(self, name: str, path: Path, made: CodeType) -> None:
        self._name, self._path, self._code = name, path, made

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name != self._name:
            return None
        return importlib.util.spec_from_file_location(name, self._path, loader=self)

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)


def preload(tree: Path) -> None:
    """Import what is the same for every mutant; nothing of the policy package."""
    sys.path.insert(0, str(tree))
    os.chdir(tree)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in (
        "pytest", "hypothesis", "hypothesis.strategies", "pydantic", "yaml", "jsonschema", "cel",
        "typer.testing", "coverage", "specflow.effects.registry", "specflow.effects.annotate",
    ):  # fmt: skip
        importlib.import_module(name)
    import hypothesis

    assert "specflow.policy" not in sys.modules
    assert str(sys.modules["specflow"].__file__).startswith(str(tree))
    # No shrinking: that a test fails is all that is asked. No randomness: a mutant's fate can be repeated.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile(
        "mutate", derandomize=True, database=None, deadline=None, phases=phases,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    hypothesis.settings.load_profile("mutate")


class Baseline:
    """A pytest plugin that notes time and lines of every test."""

    def __init__(self, coverage: Any) -> None:
        self._coverage = coverage
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self.failed.append(report.nodeid)


def baseline(tree: Path, modules: Sequence[str]) -> list[Test]:
    """Every test with its lines, measured in a child so that this process stays clean.

    Raises:
        SystemExit: when there are no tests.
    """
    answer = json.loads(_in_child(lambda: _measure(tree, modules), 900.0)[1] or "{}")
    if not answer.get("tests"):
        sys.exit("the tests cannot be run at all")
    for name in answer["failed"]:
        print(f"  left out, for it fails without any mutant: {name}")
    return [
        Test(name, seconds, {module: frozenset(lines) for module, lines in by.items()})
        for name, seconds, by in answer["tests"]
        if name not in answer["failed"]
    ]


def _measure(tree: Path, modules: Sequence[str]) -> str:
    import coverage
    import pytest

    files = {module: str(tree / f"specflow/policy/{module}.py") for module in modules}
    cover = coverage.Coverage(data_file=None, include=list(files.values()), config_file=False)
    plugin = Baseline(cover)
    cover.start()
    pytest.main(["tests/policy", *QUICK], plugins=[plugin])
    cover.stop()
    data = cover.get_data()
    by_test: dict[str, dict[str, list[int]]] = {name: {} for name in plugin.seconds}
    for module, file in files.items():
        for line, contexts in data.contexts_by_lineno(file).items():
            for context in contexts:
                if context in by_test:
                    by_test[context].setdefault(module, []).append(line)
    tests = [(name, plugin.seconds[name], by) for name, by in by_test.items()]
    return json.dumps({"failed": plugin.failed, "tests": tests})


class Chosen:
    """A pytest plugin that keeps the tests that matter, in the order given, and says which one failed."""

    def __init__(self, names: Sequence[str]) -> None:
        self._rank = {name: index for index, name in enumerate(names)}
        self.failed = ""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        kept = [item for item in items if item.nodeid in self._rank]
        items[:] = sorted(kept, key=lambda item: self._rank[item.nodeid])

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid


def _run_mutant(tree: Path, module: str, made: CodeType, tests: Sequence[str]) -> str:
    """`survived`, or the name of the test that failed, in a child."""
    import pytest

    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    # Also when nobody is left to end it.
    resource.setrlimit(resource.RLIMIT_CPU, (2 * int(PATIENCE), 2 * int(PATIENCE)))
    path = tree / f"specflow/policy/{module}.py"
    sys.meta_path.insert(0, Mutated(f"specflow.policy.{module}", path, made))
    chosen = Chosen(tests)
    files = sorted({name.split("::")[0] for name in tests})
    result = pytest.main([*files, "-x", *QUICK], plugins=[chosen])
    if int(result) == pytest.ExitCode.NO_TESTS_COLLECTED:
        return NOTHING_RUN  # which is no failure of a test
    return "survived" if int(result) == 0 else f"killed {chosen.failed or 'on import'}"


def _in_child(work: Callable[[], str], patience: float) -> tuple[str, str]:
    """What `work` answers in a forked child: (how it ended, answer)."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.close(out)
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(quiet, stream)
        try:
            os.write(into, work().encode())
        finally:
            os._exit(0)
    os.close(into)
    parts: list[bytes] = []
    limit = time.monotonic() + patience
    ended = "ended"
    while True:
        ready, _, _ = select.select([out], [], [], max(0.0, limit - time.monotonic()))
        if not ready:
            ended = "time-out"
            os.killpg(child, signal.SIGKILL)
            break
        piece = os.read(out, 65536)
        if not piece:
            break
        parts.append(piece)
    os.close(out)
    os.waitpid(child, 0)
    return ended, b"".join(parts).decode()


def fate(tree: Path, place: tuple[str, int], mutant: Mutant, tests: Sequence[Test], *, killer: str) -> str:
    """What became of one mutant: number `place[1]` of module `place[0]`.

    `killer` is the test that noticed it last time, or nothing.

    Raises:
        RuntimeError: when not one of the tests was run.
    """
    module, index = place
    touching = [test for test in tests if mutant.lines & test.lines.get(module, frozenset())]
    # A line that no test runs on its own runs at import: any test may notice.
    names = [test.name for test in sorted(touching or tests, key=lambda test: test.seconds)]
    # Made here, so that a mutant that is no Python at all is our mistake and never counts as noticed.
    made = code(tree / f"specflow/policy/{module}.py", index)
    answer = "survived"
    # One file is read faster than all of them.
    for chosen in ([killer], names) if killer in names else (names,):
        ended, answer = _in_child(partial(_run_mutant, tree, module, made, chosen), PATIENCE)
        if ended == "time-out":
            return "killed by time-out"
        if answer == NOTHING_RUN:
            raise RuntimeError(f"no test was run for {mutant.key}")
        if answer != "survived":
            break
    return answer or "killed by a crash"
