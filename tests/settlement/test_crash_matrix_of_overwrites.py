"""Real SIGKILL at every point of a run that overwrites, and of the recovery: what was there is put back."""

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
    pytest.mark.timeout(1800),
]
VISITED = [
    "before.read",
    "intent.committed",
    "before.checked",
    "call.before",
    "call.after",
    "outcome.committed",
    "adopt.committed",
    "abort.committed",
    "undo.intended",
    "undo.called",
    "undo.committed",
    "recover.taken",
]


NIGHTLY = bool(os.environ.get("SPECFLOW_NIGHTLY"))


@pytest.mark.parametrize("policy", ["tolerant", "bare"] if NIGHTLY else ["tolerant"])
def test_no_crash_loses_what_was_there(policy: str) -> None:
    # Every point in every run; every pair of points, and sampled triples, in the nightly one.
    module = "crash_overwrite_scenario"
    scenario = CrashScenario(
        run=f"{module}:run",
        recover=f"{module}:recover",
        check=f"{module}:check",
        args={"policy": policy},
        paths=(str(Path(__file__).parent),),
    )
    report = crash_matrix(
        scenario, depth=2 if NIGHTLY else 1, samples=200 if NIGHTLY else 8, workers=2, seed=7
    )
    report.assert_clean(visited=VISITED)
    print(f"{report.trials} trials, by depth {report.by_depth}")
