"""A process to be killed, stopped or cut off: it books through a journal, and says what it was promised.

    python -m specflow.testing.doomed_agent URL --sessions 4 --effects 8 [--lease 30] [--go-on] [--on-signal]

The bookings are lines in the file that BOOKINGS names in the environment, shared by all processes; `TOOLS`
are what another process needs to undo them: `specflow journal recover --tools
specflow.testing.doomed_agent:TOOLS`. What it prints, one JSON object a line, it has been promised before:

* `{"ready": 32}`: that many early bookings are done and recorded, and their owner is known to live;
* `{"done": ID}`, with --go-on: another one, in the first session;
* `{"refused": CODE, "why": TEXT}`: the journal did not write. After `fenced` it ends, as a run does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from specflow.effects.annotate import Annotation
from specflow.effects.call import Call, digest
from specflow.effects.kind import EffectClass
from specflow.effects.tool import CallContext, ToolSpec
from specflow.errors import FencedError, JournalError
from specflow.journal.owner import owner_id
from specflow.journal.record import Intent, Lease, Outcome, UndoPlan
from specflow.journal.sql import SqlJournal
from specflow.lifecycle import Stage

BOOKINGS = "SPECFLOW_TEST_BOOKINGS"
"""Environment variable: the file with the bookings."""

ELSEWHERE = "another-machine:1:1:"
"""How its owner is called on PostgreSQL: nobody on this machine can look whether such a process lives."""


def write_down(what: str, key: str) -> None:
    """One line, whole, whoever else writes: what was done, for whom, when (seconds since the epoch)."""
    line = json.dumps([what, key, time.time()]).encode() + b"\n"
    handle = os.open(os.environ[BOOKINGS], os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(handle, line)
    finally:
        os.close(handle)


def written_down(path: Path) -> list[tuple[str, str, float]]:
    """What the file says happened, in order: (`book` or `cancel`, key, when)."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [(what, key, at) for what, key, at in map(json.loads, lines)]


async def _book(call: Call, context: CallContext) -> Any:
    write_down("book", context.idempotency_key)
    return {"booking": context.idempotency_key}


async def _cancel(call: Call, context: CallContext) -> Any:
    write_down("cancel", str(call.args["booking"]))
    return {"status": "cancelled"}


def _tool(name: str, parameter: str, runner: Any, annotation: Annotation) -> ToolSpec:
    schema = {"type": "object", "properties": {parameter: {"type": "string"}}, "required": [parameter]}
    return ToolSpec(name=name, parameters=schema, annotation=annotation, runner=runner)


TOOLS: Sequence[ToolSpec] = (
    _tool("book", "seat", _book, Annotation(effect=EffectClass.COMPENSATABLE, undo="cancel")),
    _tool("cancel", "booking", _cancel, Annotation(effect=EffectClass.CONFIRMATION_REQUIRED)),
)


def _intent(name: str) -> Intent:
    return Intent(
        effect_id=f"eff_{name}",
        branch_id=f"br_{name}",
        tool="book",
        schema_hash=digest("schema"),
        policy_hash=digest("policy"),
        effect=EffectClass.COMPENSATABLE,
        fingerprint=digest(name),
        args={"seat": name},
        idem_key=f"key_{name}",
        hypothesis="the next call is book",
        keyed=True,
        undo=UndoPlan(tool="cancel", arguments={"booking": "key"}, tolerates_missing=True),
    )


async def _early(journal: SqlJournal, lease: Lease, name: str) -> None:
    """An early booking: its branch stays open, so that it is undone unless somebody adopts it."""
    intent = _intent(name)
    await journal.intend(lease, intent)
    write_down("book", intent.idem_key)
    await journal.record(lease, intent.effect_id, Outcome(stage=Stage.DONE, result={"booking": name}))


async def live(
    url: str, *, sessions: int, effects: int, lease: float, go_on: bool, on_signal: bool, name: str
) -> None:
    """Book, say so, and go on or wait until somebody ends it."""
    called = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, called.set)
    journal = SqlJournal.open(url, lease_seconds=lease)
    postgres = url.startswith("postgresql")
    owner = f"{ELSEWHERE}{name}" if postgres else owner_id()
    leases = [
        await journal.open_session(f"ses_{name}_{number}", thread=name, owner=owner)
        for number in range(sessions)
    ]
    await asyncio.gather(
        *(
            _early(journal, held, f"{name}_{number}_{index}")
            for number, held in enumerate(leases)
            for index in range(effects)
        )
    )
    while postgres and not all(  # noqa: ASYNC110 - the database does not call back
        row.presence for row in await journal.active_sessions(name)
    ):
        await asyncio.sleep(0.002)
    say(ready=sessions * effects)
    if on_signal:
        await called.wait()
    number = 0
    while go_on or on_signal:
        number += 1
        effect = f"{name}_more_{number}"
        try:
            await _early(journal, leases[0], effect)
        except JournalError as error:
            say(refused=error.code, why=str(error))
            if isinstance(error, FencedError):
                return
            await asyncio.sleep(0.05)
        else:
            say(done=f"eff_{effect}")
    await asyncio.Event().wait()


def say(**fact: object) -> None:
    """One line on the standard output, at once."""
    print(json.dumps(fact), flush=True)


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--name", default="a")
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--effects", type=int, default=8)
    parser.add_argument("--lease", type=float, default=30.0)
    parser.add_argument("--go-on", action="store_true")
    parser.add_argument("--on-signal", action="store_true", help="go on when SIGUSR1 comes")
    given = parser.parse_args()
    asyncio.run(
        live(
            given.url,
            sessions=given.sessions,
            effects=given.effects,
            lease=given.lease,
            go_on=given.go_on,
            on_signal=given.on_signal,
            name=given.name,
        )
    )


if __name__ == "__main__":
    main()
