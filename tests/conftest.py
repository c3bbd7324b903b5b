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

UNTRACED = frozenset(
    (
        "bench",
        "demo",
        "docs",
        "examples",
        "nightly",
        "packaging",
        "prediction",
        "replay",
        "telemetry",
        "traces",
    )
)
"""Folders of tests that are not about what decides about permission and undo, which is covered in full."""
UNTRACED_FILES = frozenset(("test_lossless.py", "test_planted_differences.py"))
"""The same: much the same, a thousand times."""


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
    """Whatever is not about what the coverage gate looks at is not traced: that would only take time."""
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).parts[0] in UNTRACED or item.path.name in UNTRACED_FILES:
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
