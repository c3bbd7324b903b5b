"""A small journal in a file, and a shop that is called under it: what the crash tests crash.

`bug` breaks it in one way; each must be found. The shop counts every call: it is not idempotent, except that
`cancel` of what never happened does nothing and forbids it.
"""

import asyncio
import json
import os
import threading
from pathlib import Path

from specflow.probe import reach

ITEMS = ("flight", "hotel")


def _append(path: Path, *entry: str) -> None:
    handle = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(handle, json.dumps(entry).encode() + b"\n")
    os.close(handle)


def _read(path: Path) -> list[list[str]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _stages(world: Path) -> dict[str, str]:
    return {item: stage for stage, item in _read(world / "journal")}


def run(world: Path, bug: str = "") -> None:
    journal, shop = world / "journal", world / "shop"
    for item in ITEMS:
        reach("intent.before")
        if bug != "intent after call":
            _append(journal, "intended", item)
            reach("intent.committed")
        reach("call.before")
        _append(shop, "book", item)
        reach("call.after")
        if bug == "intent after call":
            _append(journal, "intended", item)
        _append(journal, "done", item)
        reach("outcome.committed")
    recover(world, bug)


def recover(world: Path, bug: str = "") -> None:
    """The branch was never confirmed: take everything back, last first."""
    journal, shop = world / "journal", world / "shop"
    reach("recover.taken")
    order = list(_stages(world).items())
    for item, stage in order if bug == "forward order" else reversed(order):
        if stage == "undone":
            continue
        if stage == "intended" and bug == "unknown means not done":
            continue
        if stage != "undoing":
            _append(journal, "undoing", item)
            reach("undo.intended")
        if bug == "undo blindly" or (["book", item] in _read(shop) and ["cancel", item] not in _read(shop)):
            _append(shop, "cancel", item)
        reach("undo.called")
        _append(journal, "undone", item)
        reach("undo.committed")


def check(world: Path, bug: str = "") -> None:
    shop = [tuple(entry) for entry in _read(world / "shop")]
    booked = [item for what, item in shop if what == "book"]
    cancelled = [item for what, item in shop if what == "cancel"]
    assert set(booked) <= set(_stages(world)), f"a call without an intent: {shop}"
    assert cancelled == booked[::-1], f"not taken back once each, last first: {shop}"
    assert set(_stages(world).values()) <= {"undone"}, "not at rest"


async def run_async(world: Path) -> None:
    await asyncio.sleep(0)
    reach("call.before")
    await asyncio.to_thread(_append, world / "shop", "book", "flight")
    reach("call.after")


def recover_nothing(world: Path) -> None:
    reach("recover.taken")


def check_nothing(world: Path) -> None:
    assert world.is_dir()


def run_forever(world: Path) -> None:
    reach("call.before")
    threading.Event().wait()


def run_and_exit(world: Path) -> None:
    reach("call.before")
    os._exit(3)


def run_noisily(world: Path) -> None:
    print("a line that must not get between the answers")
    reach("call.before")
    raise ValueError("the scenario itself is wrong")


def run_differently(world: Path) -> None:
    """Reaches its second point only in the first process that uses this directory's parent."""
    reach("call.before")
    marker = world.parent / "seen"
    if not marker.exists():
        marker.touch()
        reach("call.after")


def run_silently(world: Path) -> None:
    return None
