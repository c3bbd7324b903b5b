"""Real SIGKILL at every named point of a run, at every point of the recovery after it, on real databases.

By default every single point of one way on each store. With CI every pair of points of the ways in `IN_CI`
(but of those in `SINGLES`), and some triples; with SPECFLOW_NIGHTLY every way on every store, and hundreds of
triples each. Which invariants are checked is in `crash_booking_scenario`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
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

pytestmark = [
    pytest.mark.skipif(not crash.AVAILABLE, reason=crash.WHY_NOT),
    pytest.mark.slow,
]
NIGHTLY = bool(os.environ.get("SPECFLOW_NIGHTLY"))
CI = bool(os.environ.get("CI"))
TRIPLES = 450 if NIGHTLY else 10
HOUR = 3600

WAYS = {
    "tolerant": 220,
    "flaky": 220,
    "verified": 265,
    "keyed": 145,
    "bare": 145,
    "local": 145,
    "saga tolerant": 265,
    "saga verified": 315,
    "saga bare": 195,
    "saga local": 195,
    "resumed tolerant": 490,
    "resumed verified": 570,
    "resumed bare": 360,
    "resumed local": 360,
}
"""The ways of `crash_booking_scenario`, and how many singles and pairs of points there are at least."""

STORES = ("sqlite process", "sqlite power", "postgres power")
SINGLES = [("local", "postgres power"), ("saga local", "sqlite power"), ("resumed local", "sqlite process")]
"""Pairs of points are for the night: these commit once where the others commit twice."""
IN_CI = [
    ("resumed verified", "sqlite process"),
    ("saga verified", "sqlite process"),
    ("resumed bare", "sqlite process"),
    ("flaky", "sqlite process"),
    ("verified", "sqlite power"),
    ("tolerant", "postgres power"),
    *SINGLES,
]
AT_NIGHT = [(way, store) for store in STORES for way in WAYS]
QUICK = [
    ("saga verified", "sqlite process"),
    ("verified", "sqlite power"),
    ("tolerant", "postgres power"),
    ("resumed local", "sqlite process"),
]
CASES = AT_NIGHT if NIGHTLY else IN_CI if CI else QUICK
ALWAYS = {
    "intent.before",
    "intent.committed",
    "call.before",
    "call.after",
    "outcome.committed",
    "adopt.before",
    "adopt.committed",
    "abort.before",
    "abort.committed",
    "undo.intended",
    "undo.called",
    "undo.committed",
    "recover.taken",
    "session.close",
}
SOME = {
    "verified": {"verify.before", "verify.after"},
    "saga": {"saga.before", "saga.decided"},
    "local": {"call.recorded"},
}
"""Points that only some ways have, by a word in the way's name."""
REPEATED = {"again.committed", "again.called"}
"""Points that only a recovery after another death has: of a real call, where nobody can be asked."""
ELSEWHERE = {"patch.before", "patch.done", "patch.adopted", "cover.intended", "cover.committed"}
"""Points that `test_crash_matrix_of_patches` goes through."""


def scenario(way: str, store: str) -> CrashScenario:
    kind, durability = store.split()
    module = "crash_booking_scenario"
    return CrashScenario(
        run=f"{module}:run",
        recover=f"{module}:recover",
        check=f"{module}:check",
        prepare=f"{module}:prepare",
        contained=kind == "sqlite",
        args={"way": way, "store": kind, "durability": durability},
        paths=(str(Path(__file__).parent),),
    )


@pytest.fixture
def crash_postgres(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database for the forked processes, which empty it before each trial."""
    url = postgres.new_database()
    upgrade(Database(url))
    monkeypatch.setenv("CRASH_POSTGRES", url)


@pytest.mark.timeout(HOUR if NIGHTLY else 1800)
@pytest.mark.parametrize(
    ("way", "store"),
    [
        pytest.param(way, store, marks=[pytest.mark.postgres] if "postgres" in store else [])
        for way, store in CASES
    ],
)
def test_no_crash_loses_or_doubles_a_booking(
    way: str,
    store: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    if "postgres" in store:
        request.getfixturevalue("crash_postgres")
    # What survives a power cut is written to a disk; for the rest memory is as good.
    folder = str(tmp_path) if "power" in store else None
    # Processes that use a server mostly wait for it.
    workers = 4 if "postgres" in store else 1
    depth = 2 if NIGHTLY or (CI and (way, store) not in SINGLES) else 1
    report = crash_matrix(
        scenario(way, store), depth=depth, samples=TRIPLES, seed=1, directory=folder, workers=workers
    )
    wanted = ALWAYS.union(*(points for word, points in SOME.items() if word in way))
    if depth == 2 and way in {"tolerant", "flaky", "keyed"}:
        wanted |= REPEATED
    report.assert_clean(visited=wanted)
    assert report.trials >= TRIPLES + (WAYS[way] if depth == 2 else len(ALWAYS))
    record_property("counted", {"crash trials (SIGKILL)": report.trials})


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("point", sorted(REPEATED))
@pytest.mark.parametrize("way", ["keyed", "tolerant"])
def test_a_real_call_is_repeated_once_more_by_whoever_comes_next(way: str, point: str) -> None:
    """Killed after the last real call, and again at a point of its repetition; the third process judges."""
    with crash.CrashServer(scenario(way, "sqlite process")) as server:
        calm = server.trial()
        last = [found for found in calm.stages[0].points if found.name == "call.after"][-1]
        for times in (1, 2):
            trial = server.trial(last, *([point] * times))
            assert not trial.error, trial.error
            assert not trial.missed
            assert sum(stage.killed for stage in trial.stages) == times + 1


def test_there_are_enough_trials_and_no_point_is_forgotten() -> None:
    assert sum(WAYS[way] + 10 for way, store in IN_CI if (way, store) not in SINGLES) >= 2_000
    assert sum(WAYS[way] + 450 for way, _ in AT_NIGHT) >= 20_000
    assert set(POINTS) == ALWAYS.union(ELSEWHERE, REPEATED, *SOME.values()), (
        "a new point belongs into the matrix"
    )
    for points in (ALWAYS, *SOME.values()):
        assert points
    for cases in (QUICK, IN_CI, AT_NIGHT):
        assert {store for _, store in cases} == set(STORES)
