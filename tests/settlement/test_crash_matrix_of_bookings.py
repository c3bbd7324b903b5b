"""Real SIGKILL at every named point of a run, at every point of the recovery after it, on real SQLite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from specflow.testing import crash
from specflow.testing.crash import CrashScenario
from specflow.testing.crash_matrix import crash_matrix

pytestmark = [
    pytest.mark.skipif(not crash.AVAILABLE, reason=crash.WHY_NOT),
    pytest.mark.slow,
    pytest.mark.timeout(300),
]
VISITED = [
    "intent.committed",
    "call.before",
    "call.after",
    "outcome.committed",
    "adopt.before",
    "adopt.committed",
    "abort.committed",
    "undo.intended",
    "undo.called",
    "undo.committed",
    "recover.taken",
    "session.close",
]


def scenario(**args: str) -> CrashScenario:
    module = "crash_booking_scenario"
    return CrashScenario(
        run=f"{module}:run",
        recover=f"{module}:recover",
        check=f"{module}:check",
        args=args,
        paths=(str(Path(__file__).parent),),
    )


@pytest.mark.parametrize("way", ["", "verify"], ids=["tolerant undo", "verified outcome"])
def test_no_crash_loses_or_doubles_a_booking(way: str) -> None:
    # Every point in every run; every pair of points, and sampled triples, in the nightly one.
    nightly = bool(os.environ.get("SPECFLOW_NIGHTLY"))
    report = crash_matrix(
        scenario(way=way), depth=2 if nightly else 1, samples=200 if nightly else 15, workers=2
    )
    report.assert_clean(visited=VISITED)
    print(f"{report.trials} trials, by depth {report.by_depth}")
