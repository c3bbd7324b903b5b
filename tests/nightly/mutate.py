"""Mutation testing of what decides: each small fault in judge, condition, ... must make a test fail.

    python tests/nightly/mutate.py                      # all modules; survivors must be explained
    python tests/nightly/mutate.py --module judge --minutes 20
    python tests/nightly/mutate.py --again              # only what has survived, with the tests as they are

Works on a copy of the tree, so that nobody's edits disturb it. One process imports what is not ours and
forks a child for each mutant; the child runs only the tests that execute the mutated line until one fails:
the one that noticed the mutant last time, then the others, the fastest first. Results are kept in
`.nightly/mutants.json` while module and tests stay the same. A survivor whose key stands in
`docs/explanation/policy-mutants.md` is explained; a key there that does not survive is reported, too.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mutant_fate import baseline, fate, preload
from mutants import Mutant, mutants

ROOT = Path(__file__).parents[2]
STATE = ROOT / ".nightly" / "mutants.json"
EXPLAINED = ROOT / "docs/explanation/policy-mutants.md"
MODULES = (
    "judge", "condition", "load", "cel_scan", "merge", "plan", "undoable", "undoing", "before", "check",
)  # fmt: skip
COPIED = ("specflow", "tests/policy", "docs", "policies", "pyproject.toml")
GROUPS = ("lint", "suggest", "diff", "test_starters.py", "test_reload.py", "test_damaged_files.py")
"""Tests that are about other things than deciding, or too slow to be run a thousand times."""


def copy_tree(to: Path) -> None:
    """Everything the tests need, as it is now."""
    for name in COPIED:
        source, target = ROOT / name, to / name
        if source.is_dir():
            ignored = shutil.ignore_patterns(
                "__pycache__", "_build", *(GROUPS if name == "tests/policy" else ())
            )
            shutil.copytree(source, target, ignore=ignored)
        else:
            shutil.copy(source, target)
    (to / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n", encoding="utf-8")


def stamp(tree: Path, module: str) -> str:
    """Over the module and all tests: what a result is good for."""
    files = [tree / f"specflow/policy/{module}.py", *sorted((tree / "tests/policy").rglob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def _load(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _save(path: Path, state: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(state, indent=1), encoding="utf-8")
    fresh.replace(path)


def _wanted(
    arguments: argparse.Namespace, tree: Path, state: dict[str, Any]
) -> Iterator[tuple[str, int, Mutant]]:
    """The mutants whose fate is not known yet, in a shuffled order, so that a part is a fair sample."""
    for module in arguments.module or MODULES:
        found = mutants(tree / f"specflow/policy/{module}.py")
        kept = state.get(module, {})
        fates = kept.get("fates", {}) if kept.get("stamp") == stamp(tree, module) or arguments.again else {}
        known = {mutant.key: fates[mutant.key] for mutant in found if mutant.key in fates}
        if arguments.again:
            known = {key: value for key, value in known.items() if value != "survived"}
        killers = kept.get("killers", {}) | _killers(kept.get("fates", {}))
        state[module] = {
            "stamp": stamp(tree, module),
            "total": len(found),
            "fates": known,
            "killers": killers,
        }
        todo = [(module, index, mutant) for index, mutant in enumerate(found) if mutant.key not in known]
        random.Random(arguments.seed).shuffle(todo)
        yield from todo


def _killers(fates: dict[str, str]) -> dict[str, str]:
    """The test that noticed each mutant."""
    return {key: fate.removeprefix("killed ") for key, fate in fates.items() if "::" in fate}


def explained(text: str) -> list[str]:
    """The keys that the page explains: each item of a list that is nothing but code."""
    return [found[2] for found in re.finditer(r"^- (`{1,2} ?)(.+?)( ?`{1,2})$", text, re.MULTILINE)]


def report(state: dict[str, Any], modules: Sequence[str]) -> int:
    """Print the numbers; how many survivors nobody has explained, and explanations are of no survivor."""
    listed = explained(EXPLAINED.read_text(encoding="utf-8"))
    open_ = 0
    for module in modules:
        fates = state.get(module, {}).get("fates", {})
        alive = sorted(key for key, value in fates.items() if value == "survived")
        unexplained = [key for key in alive if key not in listed]
        there = {mutant.key for mutant in mutants(ROOT / f"specflow/policy/{module}.py")}
        idle = [
            key
            for key in listed
            if key.startswith(f"{module}.") and (key not in there or fates.get(key, "survived") != "survived")
        ]
        open_ += len(unexplained) + len(idle)
        print(
            f"{module}: {state.get(module, {}).get('total', 0)} mutants, {len(fates)} run, "
            f"{len(fates) - len(alive)} killed, {len(alive) - len(unexplained)} explained, "
            f"{len(unexplained)} open"
        )
        for key in unexplained:
            print(f"  {key}")
        for key in idle:
            print(f"  explained, but noticed or gone: {key}")
    return open_


def main() -> int:
    """Exit 0: every survivor is explained, 1: some are not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", action="append", choices=MODULES, help="only this one (repeatable)")
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="stop after so long; the next run goes on"
    )
    parser.add_argument("--seed", type=int, default=0, help="order of the mutants")
    parser.add_argument("--again", action="store_true", help="trust old kills, run survivors again")
    parser.add_argument("--state", type=Path, default=STATE, help="where results are kept")
    parser.add_argument("--report", action="store_true", help="only print what is known")
    arguments = parser.parse_args()
    arguments.state = arguments.state.resolve()
    if not arguments.report and os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets is the same each time, so that a mutant's fate can be repeated.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, *sys.argv])
    state = _load(arguments.state)
    if not arguments.report:
        with tempfile.TemporaryDirectory() as name:
            _run(arguments, Path(name).resolve(), state)
    return 1 if report(state, arguments.module or MODULES) else 0


def _run(arguments: argparse.Namespace, tree: Path, state: dict[str, Any]) -> None:
    start = time.monotonic()
    copy_tree(tree)
    preload(tree)
    todo = list(_wanted(arguments, tree, state))
    if not todo:
        return
    tests = baseline(tree, arguments.module or MODULES)
    print(f"{len(todo)} mutants, {len(tests)} tests", flush=True)
    for count, (module, index, mutant) in enumerate(todo):
        if time.monotonic() - start > arguments.minutes * 60:
            break
        kept = state[module]
        killer = kept["killers"].get(mutant.key, "")
        kept["fates"][mutant.key] = fate(tree, (module, index), mutant, tests, killer=killer)
        if count % 10 == 0:
            _save(arguments.state, state)
        if count % 100 == 99:
            print(f"  {count + 1} of {len(todo)}, {time.monotonic() - start:.0f} s", flush=True)
    _save(arguments.state, state)


if __name__ == "__main__":
    sys.exit(main())
