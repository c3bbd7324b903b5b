"""What the whole suite shares: signals as in a terminal, what is traced for coverage, and at the end of the
run how many trials of each kind there were.

A test adds to these with `record_property("counted", {"what": how_many})`.
"""

from __future__ import annotations

import importlib
import pkgutil
import signal
import sys
import threading
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

TRACED = frozenset(("cli", "execution", "journal", "policy", "settlement", "test_lifecycle.py"))
"""Folders (and a file) of tests that cover, in full, what decides about permission and undo."""
TRACED_FILES = frozenset(("test_amending.py", "test_mcp_trust.py"))
"""The same: what a patch leaves to recovery, and what a server says of its tools."""

LOOKED_AT = ("specflow.policy", "specflow.journal", "specflow.settlement")
"""The packages that are covered in full."""


def pytest_configure() -> None:
    """Started with nohup, or behind a shell, a run and its children would ignore what a terminal sends.

    No example is too slow on a busy machine, either (in CI, Hypothesis says so itself).
    """
    for name, default in (("SIGHUP", signal.SIG_DFL), ("SIGINT", signal.default_int_handler)):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, default)
    if settings().deadline is not None:
        settings.register_profile("busy", deadline=None)
        settings.load_profile("busy")


def pytest_collection_finish(session: pytest.Session) -> None:
    """What the gate looks at is imported while everything is traced: the lines that run then count."""
    if _of_the_gate(session.config):
        for name in LOOKED_AT:
            for module in pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}."):
                importlib.import_module(module.name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """What covers nothing more of what the gate looks at is not traced: that would double its time.

    The marker `no_cover` does not do that in the workers of a parallel run: each has two collectors, and
    when pytest-cov stops its own, the other one goes on.
    """
    where = item.path.relative_to(Path(__file__).parent).parts[0]
    if not _of_the_gate(item.config) or where in TRACED or item.path.name in TRACED_FILES:
        return (yield)
    tracer, of_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)
        threading.settrace(of_threads)


def _of_the_gate(config: pytest.Config) -> bool:
    """Whether the tracer is that of coverage (and no debugger's), and looks at some packages alone."""
    whose = type(sys.gettrace()).__module__.partition(".")[0]
    sources = config.getoption("cov_source", None) or (True,)  # True: `--cov` alone, for all
    return whose == "coverage" and True not in sources


def pytest_terminal_summary(terminalreporter: Any) -> None:  # pytest does not export its type
    """One line of counts, from whichever worker they come."""
    counted: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", ()):
        for name, value in report.user_properties:
            if name == "counted":
                counted.update(value)
    if counted:
        terminalreporter.section("trials")
        for what, number in sorted(counted.items()):
            terminalreporter.line(f"{number:>7,} {what}")
