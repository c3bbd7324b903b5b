"""What an effect costs in the journal, beside the disk's own price, bare SQLite, LangGraph and DBOS."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from specflow.bench.effort import Effort
from specflow.bench.journal_floor import pages, plain_sqlite
from specflow.bench.journal_load import Load, journal
from specflow.bench.journal_others import dbos_step, missing, saver
from specflow.bench.paired import Measure, in_turn, paired
from specflow.bench.row import Row, row, skipped
from specflow.bench.sample import folder
from specflow.errors import ConfigurationError
from specflow.journal.database import Database, Durability
from specflow.journal.schema import upgrade

BENCH, UNIT = "journal", "us"
METRIC = "time per effect"
AT_ONCE = (1, 16, 256)
RAW, STEP, PUT = "fdatasync", "a step of DBOS", "LangGraph's {}.put"
POWER, PROCESS = "durability power", "durability process"
RIDING = "durability power, next intent with the outcome"
GOALS = {PUT.format("SqliteSaver"): 0.5, PUT.format("PostgresSaver"): 0.5, STEP: 0.1}
"""How ours, by 16 at once, should compare."""

Opening = Callable[[], AbstractAsyncContextManager[Measure]]
"""Opens what is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A kind of database, and how to come to a fresh one: its URL for specflow, and for others."""

    name: str
    fresh: Callable[[str], str]
    saver: tuple[str, str, str]
    """Module, name and package of LangGraph's checkpoint saver."""
    plain: Callable[[str], str]
    """The URL as the saver wants it."""
    goal: int
    """Effects a second, by 256 at once."""


def rows(effort: Effort) -> Iterator[Row]:
    """Intent and outcome of an effect, by 1, 16 and 256 tasks at once, on SQLite and on PostgreSQL."""
    with folder() as files, ExitStack() as stack:
        for place in (_sqlite(files), _postgres(stack)):
            if isinstance(place, Row):
                yield place
                continue
            for at_once in AT_ONCE:
                effort.tell(f"journal: {place.name}, {at_once} at once")
                yield from asyncio.run(_measured(files, place, at_once, effort))


def _sqlite(files: Path) -> Place:
    return Place(
        name="SQLite",
        fresh=lambda name: f"sqlite:///{files}/{name}.db",
        saver=("langgraph.checkpoint.sqlite", "SqliteSaver", "langgraph-checkpoint-sqlite"),
        plain=lambda url: url.removeprefix("sqlite:///"),
        goal=20_000,
    )


def _postgres(stack: ExitStack) -> Place | Row:
    """A private server, until `stack` is closed; or the row that says why there is none."""
    case = "PostgreSQL"
    for module, package in (("pytest", "pytest"), ("psycopg", "psycopg")):
        why = missing(module, package)
        if why:
            return skipped(BENCH, case, METRIC, UNIT, why)
    postgres: Any = import_module("specflow.testing.postgres")
    try:
        server = stack.enter_context(postgres.postgres_server(fsync=True))
    except postgres.NoPostgresError as error:
        return skipped(BENCH, case, METRIC, UNIT, " ".join(str(error).split()))

    def fresh(name: str) -> str:
        url: str = server.new_database()
        if name.startswith("specflow"):
            upgrade(Database(url))
        return url

    return Place(
        name=case,
        fresh=fresh,
        saver=("langgraph.checkpoint.postgres", "PostgresSaver", "langgraph-checkpoint-postgres"),
        plain=lambda url: url.replace("+psycopg", ""),
        goal=10_000,
    )


async def _measured(files: Path, place: Place, at_once: int, effort: Effort) -> list[Row]:
    """One round measures everything that is compared, one after another."""
    ours = _ours(place, at_once, effort)
    others, absent = _others(files, place, at_once, effort)
    variants: dict[str, Measure] = {}
    raw: Opening = partial(pages, files / "raw", effort.size(64, 8))
    openings = {RAW: raw, **ours, **others}
    async with AsyncExitStack() as stack:
        for name, opening in openings.items():
            try:
                measure = await stack.enter_async_context(opening())
                variants[name] = measure if effort.quick else _calm(measure)
            except ConfigurationError as error:
                absent[name] = error.message
        measured = await in_turn(variants, rounds=effort.pairs(9))
    found = [_row(place, name, at_once, measured, RAW) for name in variants if name != RAW]
    if at_once == 16:
        found += [_row(place, POWER, at_once, measured, name) for name in GOALS if name in measured]
    return found + [
        skipped(BENCH, f"{place.name}: {name}, {at_once} at once", METRIC, UNIT, why)
        for name, why in absent.items()
    ]


def _calm(measure: Measure) -> Measure:
    """Without what an earlier measurement left for the garbage collector."""

    async def measured() -> float:
        gc.collect()
        return await measure()

    return measured


def _ours(place: Place, at_once: int, effort: Effort) -> dict[str, Opening]:
    effects = effort.size({1: 128, 16: 1024, 256: 5120}[at_once], 2 * at_once)
    load = Load(at_once=at_once, effects=effects)
    durabilities: dict[str, Durability] = {POWER: "power", PROCESS: "process"}
    found: dict[str, Opening] = {
        name: partial(journal, place.fresh(f"specflow-{durability}-{at_once}"), durability, load)
        for name, durability in durabilities.items()
    }
    if at_once == 1:
        riding = Load(at_once=1, effects=effects, riding=True)
        found[RIDING] = partial(journal, place.fresh("specflow-riding"), "power", riding)
    return found


def _others(
    files: Path, place: Place, at_once: int, effort: Effort
) -> tuple[dict[str, Opening], dict[str, str]]:
    """What stands beside ours, and why something does not."""
    found: dict[str, Opening] = {}
    absent: dict[str, str] = {}
    if place.name == "SQLite":
        file, count = files / f"plain-{at_once}.db", effort.size(max(64, 4 * at_once), at_once)
        found["sqlite3 alone"] = partial(plain_sqlite, file, count, at_once)
    if at_once > 16:
        return found, absent  # they do one thing at a time, or take seconds
    module, name, package = place.saver
    label, why = PUT.format(name), missing(module, package)
    if why:
        absent[label] = why
    else:
        where = place.plain(place.fresh(f"saver-{at_once}"))
        found[label] = partial(saver, module, name, where, effort.size(64, 8))
    why = missing("dbos", "dbos")
    if why:
        absent[STEP] = why
    else:
        steps = effort.size(16 if at_once == 1 else 64, at_once)
        found[STEP] = partial(dbos_step, place.fresh(f"dbos-{at_once}"), steps, at_once)
    return found, absent


def _row(
    place: Place, name: str, at_once: int, measured: Mapping[str, Sequence[float]], baseline: str
) -> Row:
    found = paired(measured[name], measured[baseline])
    case = f"{place.name}: {name}, {at_once} at once"
    if baseline != RAW:
        goal = f"goal: at most {GOALS[baseline]}"
        return row(BENCH, f"{case}, beside {baseline}", METRIC, UNIT, found, note=goal)
    note = f"{1e6 / found.ours:,.0f} a second; baseline: 4 kB written and fdatasynced"
    if name == RIDING:
        note += f"; goal: at most {1.5 * found.baseline + 120:.0f} us (1.5 baselines + 120 us)"
    if name == POWER and at_once == 256:
        note += f"; goal: {place.goal:,} a second"
    return row(BENCH, case, METRIC, UNIT, found, note=note)
