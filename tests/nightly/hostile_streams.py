"""A hundred thousand hostile streams against the real core, in slices that can be resumed.

    python tests/nightly/hostile_streams.py --minutes 60 --total 100000

Stream N of a seed is always the same one; a violation prints the command that repeats it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hostile_run import Report, hostile_run
from hostile_world import Setting, random_setting

ROOT = Path(__file__).parents[2]
STATE = ROOT / ".nightly" / "hostile_streams.json"
STREAMS_PER_POLICY = 10
REPEAT = "python tests/nightly/hostile_streams.py"
EVERY = 50
"""Each so many streams are run twice: the same seed must give the same history."""


@dataclass(slots=True)
class Tally:
    """What has been seen. `violations`: (stream number, what)."""

    streams: int = 0
    steps: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count `other` in."""
        self.streams += other.streams
        self.steps = max(self.steps, other.steps)
        self.counts.update(other.counts)
        self.violations += other.violations


def setting_of(seed: int, number: int) -> Setting:
    """The policy under which that stream runs."""
    return random_setting(random.Random(f"{seed}/policy/{number // STREAMS_PER_POLICY}"))


def stream(setting: Setting, seed: int, number: int) -> Report:
    """One stream."""
    return hostile_run(setting, f"{seed}/stream/{number}")


def run_block(task: tuple[int, int]) -> Tally:
    """All streams of one policy."""
    seed, block = task
    first = block * STREAMS_PER_POLICY
    setting = setting_of(seed, first)
    tally = Tally()
    for number in range(first, first + STREAMS_PER_POLICY):
        report = stream(setting, seed, number)
        tally.streams += 1
        tally.steps = max(tally.steps, report.steps)
        tally.counts.update(report.counts)
        tally.violations += [(number, what) for what in report.wrong]
        if number % EVERY == 0 and stream(setting, seed, number).history != report.history:
            tally.violations.append((number, "the same seed gave two histories"))
    return tally


def sources_hash() -> str:
    """Over the package and these checks."""
    files = [*sorted((ROOT / "specflow").rglob("*.py")), *sorted(Path(__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def _state(seed: int) -> dict[str, Any]:
    fresh = {
        "sources": sources_hash(), "seed": seed, "next_block": 0, "streams": 0, "steps": 0, "seconds": 0.0,
        "counts": {}, "violations": [],
    }  # fmt: skip
    try:
        kept = json.loads(STATE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return fresh
    return kept if (kept.get("sources"), kept.get("seed")) == (fresh["sources"], seed) else fresh


def slice_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run until the total or the time is reached; the state as it was written."""
    state = _state(arguments.seed)
    start, before, last = time.monotonic(), state["seconds"], time.monotonic()
    tally = Tally(
        state["streams"], state["steps"], Counter(state["counts"]), [tuple(v) for v in state["violations"]]
    )
    with multiprocessing.get_context("fork").Pool(arguments.workers) as pool:
        waiting: list[Any] = []
        block = state["next_block"]
        while True:
            late = time.monotonic() - start >= arguments.minutes * 60
            planned = tally.streams + len(waiting) * STREAMS_PER_POLICY
            if (
                not late
                and planned < arguments.total
                and len(tally.violations) < 20
                and len(waiting) < 2 * arguments.workers
            ):
                waiting.append(pool.apply_async(run_block, ((arguments.seed, block),)))
                block += 1
                continue
            if not waiting:
                break
            tally.add(waiting.pop(0).get())
            state["next_block"] += 1
            if time.monotonic() - last > 15:
                last = time.monotonic()
                _keep(state, tally, before + last - start)
                print(f"  {tally.streams:,} streams, {len(tally.violations)} violations", flush=True)
    _keep(state, tally, before + time.monotonic() - start)
    return state


def _keep(state: dict[str, Any], tally: Tally, seconds: float) -> None:
    state.update(
        streams=tally.streams, steps=tally.steps, counts=dict(tally.counts), violations=tally.violations,
        seconds=seconds,
    )  # fmt: skip
    STATE.parent.mkdir(exist_ok=True)
    fresh = STATE.with_suffix(".new")
    fresh.write_text(json.dumps(state), encoding="utf-8")
    fresh.replace(STATE)


def show(seed: int, number: int) -> int:
    """Run one stream again, and print what it was and what came of it."""
    setting = setting_of(seed, number)
    print(json.dumps(setting.world.document(), indent=1))
    report = stream(setting, seed, number)
    print(json.dumps(dict(sorted(report.counts.items()))))
    for what in report.wrong:
        print(f"VIOLATION {what}")
    return 1 if report.wrong else 0


def main() -> int:
    """Exit 0: nothing found, 1: a violation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60, help="the longest this slice may take")
    parser.add_argument("--total", type=int, default=100_000, help="streams over all slices")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, default=-1, metavar="STREAM", help="repeat one, and print it")
    arguments = parser.parse_args()
    if arguments.only >= 0:
        return show(arguments.seed, arguments.only)
    state = slice_of(arguments)
    counts = state["counts"]
    print(
        f"{state['streams']:,} of {arguments.total:,} streams: {counts.get('proposed', 0):,} proposals, "
        f"{counts.get('early read', 0):,} reads and {counts.get('early write', 0):,} writes early, "
        f"{counts.get('hits', 0):,} adopted, {counts.get('undone', 0):,} undone; "
        f"{len(state['violations'])} violations; {state['seconds']:.0f} s in all"
    )
    for number, what in state["violations"][:10]:
        print(f"VIOLATION {what}\n  repeat: {REPEAT} --seed {arguments.seed} --only {number}")
    return 1 if state["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
