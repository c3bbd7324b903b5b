"""How long the early writes of a dead process stay: from its death until a supervisor has undone them all."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from itertools import count
from pathlib import Path

from specflow.bench.effort import Effort
from specflow.bench.paired import paired
from specflow.bench.row import Row, row, skipped
from specflow.bench.sample import folder
from specflow.journal.database import Database
from specflow.journal.schema import prepare, upgrade
from specflow.journal.sql import LEASE_SECONDS
from specflow.testing.black_hole import BlackHole
from specflow.testing.takeover import Program, agent, recovered, supervisor

BENCH, METRIC, UNIT = "takeover", "time until all is undone", "ms"
SESSIONS, EFFECTS = 4, 8
SHORT_LEASE = 1.0

KILLED = "PostgreSQL, kill -9 on another machine"
CUT_OFF = f"PostgreSQL, cut off, lease {SHORT_LEASE:g} s"
SAME_MACHINE = "SQLite, kill -9 on this machine"


def rows(effort: Effort) -> Iterator[Row]:
    """A real process with early bookings dies, or is cut off; a real supervisor undoes them.

    The baseline is the lease: without a sign of death, it is what one has to wait for.
    """
    with folder() as place:
        url = f"sqlite:///{place / 'takeover.db'}"
        prepare(Database(url), create=True)
        yield _killed(SAME_MACHINE, url, place, effort)
        if find_spec("pytest") is None:
            for case in (KILLED, CUT_OFF):
                yield skipped(BENCH, case, METRIC, UNIT, "needs pytest, whose fixture starts the server")
            return
        from specflow.testing.postgres import NoPostgresError, postgres_server  # noqa: PLC0415 - needs pytest

        with ExitStack() as stack:
            try:
                server = stack.enter_context(postgres_server(fsync=True))
            except NoPostgresError as error:
                for case in (KILLED, CUT_OFF):
                    yield skipped(BENCH, case, METRIC, UNIT, str(error))
                return
            url = server.new_database()
            upgrade(Database(url))
            yield _killed(KILLED, url, place, effort)
            yield _cut_off(url, place, effort)


def _killed(case: str, url: str, place: Path, effort: Effort) -> Row:
    def trial(watching: Program, name: str) -> float:
        with agent(url, place / "bookings", name=name, sessions=SESSIONS, effects=EFFECTS) as dying:
            died = dying.kill()
            return _undone(watching) - died

    return _row(case, url, place, effort, trial, lease=LEASE_SECONDS)


def _cut_off(url: str, place: Path, effort: Effort) -> Row:
    def trial(watching: Program, name: str) -> float:
        with (
            BlackHole.before(url) as hole,
            agent(
                hole.through(url),
                place / "bookings",
                name=name,
                sessions=SESSIONS,
                effects=EFFECTS,
                lease=SHORT_LEASE,
            ),
        ):
            hole.swallow()
            cut = time.monotonic()
            return _undone(watching) - cut

    return _row(CUT_OFF, url, place, effort, trial, lease=SHORT_LEASE)


def _undone(watching: Program) -> float:
    at, said = recovered(watching, SESSIONS)
    compensated = sum(line["compensated"] for line in said)
    if compensated != SESSIONS * EFFECTS:
        raise AssertionError(f"{compensated} of {SESSIONS * EFFECTS} early bookings were undone: {said}")
    return at


def _row(
    case: str,
    url: str,
    place: Path,
    effort: Effort,
    trial: Callable[[Program, str], float],
    *,
    lease: float,
) -> Row:
    effort.tell(f"takeover: {case}")
    names = (f"{case.partition(',')[0].lower()}-{lease:g}-{number}" for number in count())
    with supervisor(url, place / "bookings") as watching:
        found = [1e3 * trial(watching, next(names)) for _ in range(effort.pairs(20))]
    note = f"{_spread(found)}; {SESSIONS * EFFECTS} effects in {SESSIONS} sessions; baseline: the lease"
    return row(BENCH, case, METRIC, UNIT, paired(found, [1e3 * lease] * len(found)), note=note)


def _spread(milliseconds: Sequence[float]) -> str:
    """The least, the median, the 95th percentile (nearest rank) and the greatest."""
    ordered = sorted(milliseconds)

    def rank(share: float) -> float:
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

    return f"min {ordered[0]:.0f}, p50 {rank(0.5):.0f}, p95 {rank(0.95):.0f}, max {ordered[-1]:.0f} ms"
