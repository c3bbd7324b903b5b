"""Mutation testing of what decides: each small fault in judge, condition, ... must make a test fail.

    python tests/nightly/mutate.py                      # all modules; survivors must be explained
    python tests/nightly/mutate.py --module judge --minutes 20
    python tests/nightly/mutate.py --again              # only what has survived, with the tests as they are

Works on a copy of the tree, so that nobody's edits disturb it. One process imports what is not ours and
forks a child for each mutant; the child runs only the tests that execute the mutated line, the fastest
first, until one fails. Results are kept in `.nightly/mutants.json` while module and tests stay the same.
A survivor whose key stands in `docs/explanation/policy-mutants.md` is explained.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from mutants import Mutant, code, mutants

ROOT = Path(__file__).parents[2]
STATE = ROOT / ".nightly" / "mutants.json"
EXPLAINED = ROOT / "docs/explanation/policy-mutants.md"
MODULES = ("judge", "condition", "cel_scan", "load", "merge", "plan")
COPIED = ("specflow", "tests/policy", "docs", "policies", "pyproject.toml")
GROUPS = ("lint", "suggest", "diff", "test_starters.py", "test_reload.py", "test_damaged_files.py")
"""Tests that are about other things than deciding, or too slow to be run a thousand times."""
PATIENCE = 90.0
"""Seconds after which a mutant that does not end counts as noticed."""


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
        return importlib.util.spec_from_file_location(name, self._path, loader=self)  # type: ignore[arg-type]

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)


def copy_tree(to: Path) -> None:
    """Everything the tests need, as it is now."""
    for name in COPIED:
        source, target = ROOT / name, to / name
        if source.is_dir():
            ignored = shutil.ignore_patterns(
                "__pycache__", "_build", *(GROUPS if name == "tests/policy" else ())
            )
            shutil.copytree(source, target, ignore=ignored)
        else:
            shutil.copy(source, target)
    (to / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n", encoding="utf-8")


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
    pytest.main(["tests/policy", "-q", "-p", "no:cacheprovider"], plugins=[plugin])
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
    path = tree / f"specflow/policy/{module}.py"
    sys.meta_path.insert(0, Mutated(f"specflow.policy.{module}", path, made))
    chosen = Chosen(tests)
    files = sorted({name.split("::")[0] for name in tests})
    result = pytest.main([*files, "-x", "-q", "-p", "no:cacheprovider"], plugins=[chosen])
    return "survived" if int(result) == 0 else f"killed {chosen.failed or 'on import'}"


def _in_child(work: Any, patience: float) -> tuple[str, str]:
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


def fate(tree: Path, module: str, index: int, mutant: Mutant, tests: Sequence[Test]) -> str:
    """What became of one mutant."""
    touching = [test for test in tests if mutant.lines & test.lines.get(module, frozenset())]
    # A line that no test runs on its own runs at import: any test may notice.
    names = [test.name for test in sorted(touching or tests, key=lambda test: test.seconds)]
    # Made here, so that a mutant that is no Python at all is our mistake and never counts as noticed.
    made = code(tree / f"specflow/policy/{module}.py", index)
    ended, answer = _in_child(lambda: _run_mutant(tree, module, made, names), PATIENCE)
    if ended == "time-out":
        return "killed by time-out"
    return answer or "killed by a crash"


def stamp(tree: Path, module: str) -> str:
    """Over the module and all tests: what a result is good for."""
    files = [tree / f"specflow/policy/{module}.py", *sorted((tree / "tests/policy").rglob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def _load(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _save(path: Path, state: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(state, indent=1), encoding="utf-8")
    fresh.replace(path)


def _wanted(
    arguments: argparse.Namespace, tree: Path, state: dict[str, Any]
) -> Iterator[tuple[str, int, Mutant]]:
    """The mutants whose fate is not known yet, in a shuffled order, so that a part is a fair sample."""
    for module in arguments.module or MODULES:
        found = mutants(tree / f"specflow/policy/{module}.py")
        kept = state.get(module, {})
        fates = kept.get("fates", {}) if kept.get("stamp") == stamp(tree, module) or arguments.again else {}
        known = {mutant.key: fates[mutant.key] for mutant in found if mutant.key in fates}
        if arguments.again:
            known = {key: value for key, value in known.items() if value != "survived"}
        state[module] = {"stamp": stamp(tree, module), "total": len(found), "fates": known}
        todo = [(module, index, mutant) for index, mutant in enumerate(found) if mutant.key not in known]
        random.Random(arguments.seed).shuffle(todo)
        yield from todo


def report(state: dict[str, Any], modules: Sequence[str]) -> int:
    """Print the numbers; the number of survivors that nobody has explained."""
    text = EXPLAINED.read_text(encoding="utf-8") if EXPLAINED.exists() else ""
    open_ = 0
    for module in modules:
        fates = state.get(module, {}).get("fates", {})
        alive = sorted(key for key, value in fates.items() if value == "survived")
        unexplained = [key for key in alive if f"`{key}`" not in text and f"`` {key} ``" not in text]
        open_ += len(unexplained)
        print(
            f"{module}: {state.get(module, {}).get('total', 0)} mutants, {len(fates)} run, "
            f"{len(fates) - len(alive)} killed, {len(alive) - len(unexplained)} explained, "
            f"{len(unexplained)} open"
        )
        for key in unexplained:
            print(f"  {key}")
    return open_


def main() -> int:
    """Exit 0: every survivor is explained, 1: some are not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", action="append", choices=MODULES, help="only this one (repeatable)")
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="stop after so long; the next run goes on"
    )
    parser.add_argument("--seed", type=int, default=0, help="order of the mutants")
    parser.add_argument("--again", action="store_true", help="trust old kills, run survivors again")
    parser.add_argument("--state", type=Path, default=STATE, help="where results are kept")
    parser.add_argument("--report", action="store_true", help="only print what is known")
    arguments = parser.parse_args()
    arguments.state = arguments.state.resolve()
    state = _load(arguments.state)
    if not arguments.report:
        with tempfile.TemporaryDirectory() as name:
            _run(arguments, Path(name).resolve(), state)
    return 1 if report(state, arguments.module or MODULES) else 0


def _run(arguments: argparse.Namespace, tree: Path, state: dict[str, Any]) -> None:
    start = time.monotonic()
    copy_tree(tree)
    preload(tree)
    todo = list(_wanted(arguments, tree, state))
    if not todo:
        return
    tests = baseline(tree, arguments.module or MODULES)
    print(f"{len(todo)} mutants, {len(tests)} tests", flush=True)
    for count, (module, index, mutant) in enumerate(todo):
        if time.monotonic() - start > arguments.minutes * 60:
            break
        state[module]["fates"][mutant.key] = fate(tree, module, index, mutant, tests)
        if count % 10 == 0:
            _save(arguments.state, state)
        if count % 100 == 99:
            print(f"  {count + 1} of {len(todo)}, {time.monotonic() - start:.0f} s", flush=True)
    _save(arguments.state, state)


if __name__ == "__main__":
    sys.exit(main())
