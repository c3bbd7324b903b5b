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

GATED = ("policy", "journal", "settlement", "execution", "effects", "sealing")
"""Folders of the tests that have to cover what decides about permission and undo, to the last branch."""


def pytest_configure() -> None:
    """Started with nohup, or behind a shell, a run and its children would ignore what a terminal sends."""
    for name, default in (("SIGHUP", signal.SIG_DFL), ("SIGINT", signal.default_int_handler)):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, default)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever is not about what the coverage gate looks at is not traced: that would only take time."""
    here = Path(__file__).parent
    for item in items:
        folder, *rest = item.path.relative_to(here).parts
        if rest and folder not in GATED:
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
