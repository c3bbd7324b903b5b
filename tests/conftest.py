"""What the whole suite shares: signals as in a terminal, what is traced for coverage, and at the end of the
run how many trials of each kind there were.

A test adds to these with `record_property("counted", {"what": how_many})`.
"""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

TRACED = frozenset(("cli", "execution", "journal", "policy", "settlement", "test_lifecycle.py"))
"""Folders (and a file) of tests that cover, in full, what decides about permission and undo."""
TRACED_FILES = frozenset(("test_amending.py", "test_mcp_trust.py"))
"""The same: what a patch leaves to recovery, and what a server says of its tools."""


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What covers nothing more of what the gate looks at is not traced: that would only take time."""
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).parts[0] not in TRACED and item.path.name not in TRACED_FILES:
            item.add_marker(pytest.mark.no_cover)


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
