"""Real SIGKILL at every point of a run that amends what it booked early, and of the recovery after it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from specflow.journal.database import Database
from specflow.journal.schema import upgrade
from specflow.probe import POINTS
from specflow.testing import crash
from specflow.testing.crash import CrashScenario
from specflow.testing.crash_matrix import crash_matrix
from specflow.testing.postgres import PostgresServer, postgres

__all__ = ["postgres"]

NIGHTLY = bool(os.environ.get("SPECFLOW_NIGHTLY"))
CI = bool(os.environ.get("CI"))

pytestmark = [
    pytest.mark.skipif(not crash.AVAILABLE, reason=crash.WHY_NOT),
    pytest.mark.slow,
    pytest.mark.timeout(3600 if NIGHTLY else 1800),
]
PATCHES = {"patch.before", "patch.done", "patch.adopted", "cover.intended", "cover.committed"}
STORES = ("sqlite process", "sqlite power", "postgres power")
CASES = [(way, store) for way in ("plain", "resumed", "saga") for store in STORES]
QUICK = [("resumed", "sqlite process")]
IN_CI = [*QUICK, ("saga", "sqlite power"), ("plain", "postgres power")]
CASES = CASES if NIGHTLY else IN_CI if CI else QUICK


@pytest.fixture
def crash_postgres(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database for the forked processes, which empty it before each trial."""
    url = postgres.new_database()
    upgrade(Database(url))
    monkeypatch.setenv("CRASH_POSTGRES", url)


@pytest.mark.parametrize(
    ("way", "store"),
    [
        pytest.param(way, store, marks=[pytest.mark.postgres] if "postgres" in store else [])
        for way, store in CASES
    ],
)
def test_no_crash_takes_a_pair_apart(
    way: str, store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    # Every point in every run; every pair of points in the nightly one.
    kind, durability = store.split()
    if kind == "postgres":
        request.getfixturevalue("crash_postgres")
    module = "crash_patch_scenario"
    scenario = CrashScenario(
        run=f"{module}:run",
        recover=f"{module}:recover",
        check=f"{module}:check",
        prepare=f"{module}:prepare",
        contained=kind == "sqlite",
        args={"way": way, "store": kind, "durability": durability},
        paths=(str(Path(__file__).parent),),
    )
    report = crash_matrix(
        scenario,
        depth=2 if NIGHTLY else 1,
        samples=200 if NIGHTLY else 12 if CI else 4,
        workers=4 if kind == "postgres" else 1,
        seed=3,
        directory=str(tmp_path) if durability == "power" else None,
    )
    wanted = PATCHES | {
        "intent.committed",
        "call.after",
        "outcome.committed",
        "abort.committed",
        "undo.called",
    }
    report.assert_clean(visited=wanted)
    assert wanted <= set(POINTS)
    print(f"{report.trials} trials, by depth {report.by_depth}")
