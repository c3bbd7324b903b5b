"""What the whole suite shares: how many trials of each kind there were, at the end of the run.

A test adds to it with `record_property("counted", {"what": how_many})`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any


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
