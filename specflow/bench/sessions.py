"""The core alone, with many sessions at once: what is left of them, wave after wave, on virtual time."""

from __future__ import annotations

from collections.abc import Iterator
from time import process_time

from specflow.bench.crowd import footings
from specflow.bench.effort import Effort
from specflow.bench.paired import paired
from specflow.bench.row import Row, row

BENCH = "sessions"
WAVES = 10
SETTLED = 1
"""The wave that the last one is compared with: by then the caches are filled that are filled once."""


def rows(effort: Effort) -> Iterator[Row]:
    """Ten waves of 1,000 sessions that read, and of 100 that book as well; the last beside the second one."""
    for books, usual in ((False, 1_000), (True, 100)):
        at_once = effort.size(usual, 10)
        kind = "read and book" if books else "read"
        effort.tell(f"sessions: {at_once} at once that {kind}")
        started = process_time()
        waves = footings(at_once=at_once, books=books, waves=effort.size(WAVES, 3))
        first, last = waves[SETTLED], waves[-1]
        each = 1e3 * (process_time() - started) / last.sessions
        note = (
            f"{last.busiest} tasks at the most, {last.tasks} left; {last.rows} rows a wave, {last.kept} left "
            f"after pruning; {each:.2f} ms of CPU time a session, the virtual clock's own included"
        )
        case = f"{last.sessions} sessions that {kind}, {at_once} at once"
        for metric, unit, now, then in (
            ("virtual time of a wave", "s", last.seconds, first.seconds),
            ("pieces of memory", "pieces", float(last.blocks), float(first.blocks)),
            ("objects", "objects", float(last.objects), float(first.objects)),
        ):
            further = (now - then) / (last.sessions - first.sessions)
            more = "" if unit == "s" else f"{further:+.3f} for each further session; "
            yield row(BENCH, f"{case}: {metric}", metric, unit, paired([now], [then]), note=more + note)
