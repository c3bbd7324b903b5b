"""The long run of damaged policy files: `python tests/nightly/policy_fuzz.py --minutes 10`."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/policy"))

import yaml_damage as damage  # noqa: E402 - it lives beside the quick tests

from specflow.policy import loads  # noqa: E402 - after the path is set


def one(seed: int, number: int, path: Path, pool: list[bytes]) -> str:
    """One file, and what became of it.

    Raises:
        Exception: whatever loading does that it may not.
    """
    dice = random.Random(f"{seed}/{number}")
    kind = dice.choice(("bytes", "bytes", "bytes", "grammar", "require"))
    if kind == "require":
        loaded = damage.check_require(
            path, loads(damage.REQUIRES.decode()), damage.require_damaged(dice, damage.REQUIRES)
        )
    elif kind == "grammar":
        loaded = damage.check_load(path, damage.grammatical(dice)) is not None
    else:
        loaded = damage.check_load(path, damage.damaged(dice, dice.choice(pool), pool)) is not None
    return f"{kind} {'loaded' if loaded else 'refused'}"


def main() -> int:
    """Exit 0: nothing found, 1: a fault, with the command that repeats it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, default=-1, help="repeat this file")
    arguments = parser.parse_args()
    pool = [path.read_bytes() for path in sorted((ROOT / "policies").glob("*.yaml"))] + [damage.REQUIRES]
    start, number, faults = time.monotonic(), 0, 0
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.yaml"
        if arguments.only >= 0:
            print(one(arguments.seed, arguments.only, path, pool))
            return 0
        while time.monotonic() - start < arguments.minutes * 60 and faults < 10:
            try:
                counts[one(arguments.seed, number, path, pool)] += 1
            except Exception as error:
                faults += 1
                print(f"FAULT {type(error).__name__}: {str(error)[:300]}")
                print(
                    f"  repeat: python tests/nightly/policy_fuzz.py --seed {arguments.seed} --only {number}"
                )
            number += 1
    print(
        f"{number:,} files, {faults} faults, {time.monotonic() - start:.0f} s: {dict(sorted(counts.items()))}"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
