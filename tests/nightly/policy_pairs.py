"""A million pairs of policy and call: what must hold for every one of them, in slices that can be resumed.

    python tests/nightly/policy_pairs.py --minutes 20 --total 1000000

The count is kept in `.nightly/policy_pairs.json` together with a hash of the sources that judge; it starts
again when they change. Policy number N of a seed is always the same one: a violation prints how to see it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from policy_properties import ViolationError, check_pair
from policy_variants import variants
from policy_world import random_question, random_world

ROOT = Path(__file__).parents[2]
STATE = ROOT / ".nightly" / "policy_pairs.json"
CALLS_PER_POLICY = 40
POLICIES_PER_BLOCK = 20
JUDGING = (
    "cel_scan", "compile", "compiled", "condition", "document", "duration", "explain", "fields", "judge",
    "load", "mapping", "merge", "plan", "policy", "privacy", "read_document", "settings", "verdict",
    "yaml_events",
)  # fmt: skip
"""Modules of the policy that a verdict depends on."""
CHECKING = ("policy_conditions", "policy_properties", "policy_variants", "policy_world")
REPEAT = "python tests/nightly/policy_pairs.py"


@dataclass(slots=True)
class Tally:
    """What has been checked. `violations`: (policy number, call number, property)."""

    pairs: int = 0
    policies: int = 0
    early: int = 0
    violations: list[tuple[int, int, str]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count `other` in."""
        self.pairs += other.pairs
        self.policies += other.policies
        self.early += other.early
        self.violations += other.violations


def run_policy(seed: int, number: int, folder: Path, only: int | None = None) -> Tally:
    """All pairs of one policy."""
    dice = random.Random(f"{seed}/{number}")
    world = random_world(dice)
    tally = Tally(policies=1)
    try:
        by = variants(dice, world, folder)
    except Exception as error:
        tally.violations.append((number, -1, f"the policy does not load: {type(error).__name__}: {error}"))
        return tally
    seen: set[Any] = set()
    for index in range(CALLS_PER_POLICY):
        question = random_question(dice, world)
        key = (question.call.tool, question.call.args_json, repr(question.context), question.tainted)
        if key in seen or (only is not None and only != index):
            continue
        seen.add(key)
        try:
            check_pair(world, by, question)
        except Exception as error:
            kind = "" if isinstance(error, ViolationError) else f"{type(error).__name__}: "
            tally.violations.append((number, index, f"{kind}{error}"))
        tally.pairs += 1
        verdict = by.whole.judge(
            world.tools[question.call.tool], question.call, context=question.context, tainted=question.tainted
        )
        tally.early += verdict.speculate == "now"
    return tally


def run_block(task: tuple[int, int]) -> Tally:
    """One block of policies, in a worker."""
    seed, block = task
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        for number in range(block * POLICIES_PER_BLOCK, (block + 1) * POLICIES_PER_BLOCK):
            tally.add(run_policy(seed, number, Path(name)))
    return tally


def sources_hash() -> str:
    """Over everything that takes part in a judgement, and over these checks."""
    files = [
        *(ROOT / f"specflow/policy/{name}.py" for name in JUDGING),
        *sorted((ROOT / "specflow/effects").glob("*.py")),
        *(Path(__file__).with_name(f"{name}.py") for name in CHECKING),
    ]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def _state(seed: int) -> dict[str, Any]:
    fresh = {
        "sources": sources_hash(), "seed": seed, "next_block": 0, "pairs": 0, "policies": 0, "early": 0,
        "seconds": 0.0, "violations": [],
    }  # fmt: skip
    try:
        kept = json.loads(STATE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return fresh
    return kept if (kept.get("sources"), kept.get("seed")) == (fresh["sources"], seed) else fresh


def _tasks(seed: int, first: int, enough: Callable[[], bool]) -> Iterator[tuple[int, int]]:
    while not enough():
        yield seed, first
        first += 1


def slice_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run until the total or the time is reached; the state as it was written."""
    state = _state(arguments.seed)
    start, before = time.monotonic(), state["seconds"]
    tally = Tally(state["pairs"], state["policies"], state["early"], [tuple(v) for v in state["violations"]])
    stop = False
    last = start

    def enough() -> bool:
        late = time.monotonic() - start >= arguments.minutes * 60
        return stop or late or tally.pairs >= arguments.total or len(tally.violations) >= 20

    with multiprocessing.get_context("fork").Pool(arguments.workers) as pool:
        waiting = []
        tasks = _tasks(arguments.seed, state["next_block"], enough)
        try:
            # A short queue, in order: what was not finished is simply done by the next slice.
            while True:
                while len(waiting) < 2 * arguments.workers and (task := next(tasks, None)) is not None:
                    waiting.append(pool.apply_async(run_block, (task,)))
                if not waiting:
                    break
                tally.add(waiting.pop(0).get())
                state["next_block"] += 1
                if time.monotonic() - last > 15:
                    last = time.monotonic()
                    _keep(state, tally, before + last - start)
                    print(f"  {tally.pairs:,} pairs, {len(tally.violations)} violations", flush=True)
        except KeyboardInterrupt:
            stop = True
    _keep(state, tally, before + time.monotonic() - start)
    return state


def _keep(state: dict[str, Any], tally: Tally, seconds: float) -> None:
    state.update(
        pairs=tally.pairs,
        policies=tally.policies,
        early=tally.early,
        violations=tally.violations,
        seconds=seconds,
    )
    STATE.parent.mkdir(exist_ok=True)
    fresh = STATE.with_suffix(".new")
    fresh.write_text(json.dumps(state), encoding="utf-8")
    fresh.replace(STATE)


def show(seed: int, only: str) -> int:
    """Judge one policy (`N`) or one pair (`N:M`) again and print what it is."""
    number, _, index = only.partition(":")
    dice = random.Random(f"{seed}/{number}")
    world = random_world(dice)
    print(json.dumps(world.document(), indent=1))
    with tempfile.TemporaryDirectory() as name:
        tally = run_policy(seed, int(number), Path(name), int(index) if index else None)
        variants(dice, world, Path(name))
    for count in range(CALLS_PER_POLICY):
        question = random_question(dice, world)
        if index and count == int(index):
            print(question, world.tools[question.call.tool])
    for _, call, what in tally.violations:
        print(f"call {call}: {what}")
    return 1 if tally.violations else 0


def main() -> int:
    """Exit 0: nothing found, 1: a violation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20, help="the longest this slice may take")
    parser.add_argument("--total", type=int, default=1_000_000, help="pairs over all slices")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", metavar="POLICY[:CALL]", default="", help="repeat one, and print it")
    arguments = parser.parse_args()
    if arguments.only:
        return show(arguments.seed, arguments.only)
    state = slice_of(arguments)
    print(
        f"{state['pairs']:,} of {arguments.total:,} pairs ({state['policies']:,} policies, "
        f"{state['early']:,} calls early), {len(state['violations'])} violations, "
        f"{state['seconds']:.0f} s in all"
    )
    for number, index, what in state["violations"][:10]:
        print(f"VIOLATION {what}\n  repeat: {REPEAT} --seed {arguments.seed} --only {number}:{index}")
    return 1 if state["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
