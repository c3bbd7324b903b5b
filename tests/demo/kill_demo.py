"""Kill the demo at random moments, recover, and look for anything that the real run did not make.

    python tests/demo/kill_demo.py 100 [SEED]

Prints one line per kill that found something wrong, and a summary; exit code 1 when there was any.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from specflow.demo.bundle import load_desk
from specflow.demo.recovery import recovery_tools
from specflow.journal.verify import verify
from specflow.lifecycle import BranchState, SessionState, Stage
from specflow.resources import bundled
from specflow.runtime import Runtime

SPEED = 4.0
RUN_DEMO = "from specflow.cli import main; main()"


def start(db: Path) -> subprocess.Popen[bytes]:
    """A demo on `db`, in a process of its own."""
    options = ["demo", "--yes", "--json", "--db", f"sqlite:///{db}", "--speed", str(SPEED)]
    return subprocess.Popen(
        [sys.executable, "-c", RUN_DEMO, *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def wait_for_the_run(child: subprocess.Popen[bytes], db: Path) -> None:
    """Until the agent is at work: the journal has a session that is not closed."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and child.poll() is None:
        try:
            with sqlite3.connect(f"file:{db}?mode=ro", uri=True) as connection:
                found = connection.execute("SELECT 1 FROM sf_session WHERE state = 'active'").fetchone()
            connection.close()
        except sqlite3.Error:
            found = None
        if found:
            return
        time.sleep(0.01)
    raise RuntimeError(f"the demo did not start: {child.communicate()[1].decode()}")


def kill_once(db: Path, after: float) -> bool:
    """Run the demo and SIGKILL it `after` seconds into the agent's work. False: it was done before."""
    child = start(db)
    try:
        wait_for_the_run(child, db)
        time.sleep(after)
        alive = child.poll() is None
    finally:
        child.kill()
        child.communicate()
    return alive


def whole_run(db: Path) -> float:
    """Seconds from the agent's first work to the end of the process."""
    child = start(db)
    try:
        wait_for_the_run(child, db)
        began = time.monotonic()
        _, errors = child.communicate(timeout=300)
    finally:
        child.kill()
    if child.returncode:
        raise RuntimeError(f"the demo failed: {errors.decode()}")
    return time.monotonic() - began


async def aftermath(db: Path) -> tuple[list[str], Counter[str]]:
    """Recover, then everything that is wrong, and how effects ended."""
    url = f"sqlite:///{db}"
    tools = recovery_tools(url)
    if tools is None:
        return [], Counter({"nothing yet": 1})
    wrong: list[str] = []
    async with Runtime(bundled("policies/travel.yaml"), tools=tools, journal=url) as runtime:
        await runtime.recover()
        again = await runtime.recover()
        if again.recovered or again.compensated or again.held:
            wrong.append(f"a second recovery still found work: {again}")
        rows = await runtime.journal.snapshot()
    wrong += [f"{found.invariant}: {found.message}" for found in verify(rows)]
    branches = {branch.branch_id: branch for branch in rows.branches}
    wrong += [
        f"session {row.session_id} is open" for row in rows.sessions if row.state is SessionState.ACTIVE
    ]
    wrong += [f"branch {row.branch_id} is open" for row in rows.branches if row.state is BranchState.OPEN]
    real: dict[str, str] = {}
    for effect in rows.effects:
        if effect.stage is Stage.STUCK:
            wrong.append(f"{effect.tool} {effect.effect_id} is stuck: {effect.error}")
        confirmed = branches[effect.branch_id].state is BranchState.CONFIRMED
        if effect.adopted_by and confirmed and effect.stage in {Stage.COMMITTED, Stage.DONE}:
            real[effect.idem_key] = effect.tool
    with sqlite3.connect(db) as connection:
        booked = {
            key
            for (key,) in connection.execute("SELECT request_id FROM desk_bookings WHERE status = 'booked'")
        }
        charged = {key for (key,) in connection.execute("SELECT request_id FROM desk_charges")}
    connection.close()
    wrong += [
        f"booking {key} was not made by the real run" for key in booked if real.get(key) != "book_flight"
    ]
    wrong += [
        f"charge {key} was not made by the real run" for key in charged if real.get(key) != "charge_card"
    ]
    newest = rows.sessions[-1].session_id if rows.sessions else ""
    kept = {row.idem_key for row in rows.effects if row.session_id == newest and row.idem_key in real}
    wrong += [f"{real[key]} {key} is committed and gone" for key in kept - booked - charged]
    wrong += _seats(db)
    return wrong, Counter(f"{effect.tool} {effect.stage}" for effect in rows.effects)


def _seats(db: Path) -> list[str]:
    state = load_desk().desk(db).store.state()
    fresh_file = db.with_name(f"fresh-{db.name}")
    fresh = load_desk().desk(fresh_file)
    fresh.store.reset()
    seeds = {row["flight_id"]: row["seats_left"] for row in fresh.store.state()["flights"]}
    fresh_file.unlink()
    taken = Counter(row["flight_id"] for row in state["bookings"])
    return [
        f"{row['flight_id']} has {row['seats_left']} seats and {taken[row['flight_id']]} bookings"
        for row in state["flights"]
        if row["seats_left"] + taken[row["flight_id"]] != seeds[row["flight_id"]]
    ]


def campaign(times: int, seed: int, folder: Path) -> tuple[int, list[str], Counter[str]]:
    """`times` kills, each on a database of its own: kills in time, everything wrong, how effects ended."""
    rng = random.Random(seed)
    length = whole_run(folder / "whole.db")
    in_time, wrong, ends = 0, [], Counter[str]()
    for number in range(times):
        db = folder / f"kill{number}.db"
        after = rng.uniform(0, length)
        in_time += kill_once(db, after)
        found, ended = asyncio.run(aftermath(db))
        wrong += [f"kill {number} after {after:.2f} s: {item}" for item in found]
        ends += ended
    return in_time, wrong, ends


def main() -> int:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as folder:
        in_time, wrong, ends = campaign(times, seed, Path(folder))
    for line in wrong:
        print(line)
    print(f"{in_time} of {times} kills hit a running demo; {len(wrong)} things wrong")
    print(f"effects: {dict(sorted(ends.items()))}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
