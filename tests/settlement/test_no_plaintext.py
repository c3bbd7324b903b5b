"""Wherever a policy's paths lead, what they redact is in no byte of the database, no event and no log."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.redaction import hide
from specflow.effects.tool import CallContext, ToolSpec
from specflow.journal.database import Database
from specflow.journal.event import EventKind
from specflow.journal.reads import snapshot_of
from specflow.journal.schema import prepare, upgrade
from specflow.journal.sql import SqlJournal
from specflow.lifecycle import Stage
from specflow.policy.settings import ToolSettings, Undo
from specflow.policy.verdict import Asking
from specflow.sealing.aes_gcm import AesGcmSealer
from specflow.sealing.keys import new_key, read_keys
from specflow.settlement.stored import compile_stored
from specflow.testing.postgres import PostgresServer, postgres
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.static_judge import Rule, StaticJudge

__all__ = ["postgres"]

NIGHTLY = bool(os.environ.get("SPECFLOW_NIGHTLY"))
KEY = new_key()
MANY = settings(
    max_examples=1_000 if NIGHTLY else 25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

NAMES = st.sampled_from(["card", "pin", "list", "note"])
MARK = object()
SHAPES = st.dictionaries(
    NAMES,
    st.recursive(
        st.just(MARK) | st.integers(0, 9),
        lambda some: st.lists(some, max_size=3) | st.dictionaries(NAMES, some, max_size=3),
        max_leaves=8,
    ),
    min_size=1,
)
PATHS = st.lists(st.lists(NAMES | st.just("*"), min_size=1, max_size=3).map(".".join), min_size=1, max_size=3)


def filled(shape: Any, start: str) -> Any:
    """The shape with a text of its own at every leaf, none of which is in another."""
    count = iter(range(10_000))

    def fill(part: Any) -> Any:
        if part is MARK:
            return f'{start}-{next(count):04d}-né "x'
        if isinstance(part, dict):
            return {name: fill(item) for name, item in part.items()}
        return [fill(item) for item in part] if isinstance(part, list) else part

    return fill(shape)


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value[: len("secret-0000")]
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(item)


async def booked_and_undone(url: str, args: Any, result: Any, paths: list[str], keys: str) -> list[Any]:
    """A real call that is taken back; what the compensator was given. Its own answer repeats all of it."""
    given: list[Any] = []

    async def book(call: Call, context: CallContext) -> Any:
        return result

    async def cancel(call: Call, context: CallContext) -> Any:
        given.append(call.plain_args())
        if len(given) == 1:
            raise ValueError(f"not yet: {call.args_json}")
        return call.plain_args()

    undo = Undo(
        tool="cancel",
        arguments={name: compile_stored(name) for name in ("args", "result")},
        succeeded_when=compile_stored("result.args == args"),
    )
    rule = Rule(
        effect=EffectClass.COMPENSATABLE,
        confirm=Asking.HOST,
        settings=ToolSettings(undo=undo, redact=tuple(paths)),
    )
    tools = [ToolSpec(name="book", runner=book), ToolSpec(name="cancel", runner=cancel)]
    judge = StaticJudge({"book": rule, "cancel": Rule(effect=EffectClass.CONFIRMATION_REQUIRED)})
    journal = SqlJournal.open(url)
    sealer = AesGcmSealer(read_keys(keys)) if keys else None
    core = ScriptedCore(
        tools, judge, journal, saga=True, sealer=sealer, owner=os.urandom(4).hex(), seed=hash(url)
    )
    core.key = type(core.key)(thread=os.urandom(8).hex())
    try:
        await core.call(Call(tool="book", args=args))
        await core.take_back()
    finally:
        await journal.aclose()
    undoing = {EventKind.COMPENSATION_STARTED, EventKind.COMPENSATION_ENDED}
    logging.getLogger("specflow").debug("%r", [event for event in core.log.events if event.kind in undoing])
    return given


ARGS = SHAPES.map(lambda shape: filled(shape, "secret"))
RESULTS = SHAPES.map(lambda shape: filled(shape, "secrex"))


def secrets_of(args: Any, result: Any, paths: list[str]) -> list[str]:
    hidden = [*hide("args", args, paths).values, *hide("result", result, paths).values]
    return sorted({text for value in hidden for text in texts(value)})


@functools.cache
def empty_database() -> bytes:
    """Its file, with all tables; making them takes longer than the rest of an example."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(Database(f"sqlite:///{folder}/journal.db"), create=True)
        return Path(folder, "journal.db").read_bytes()


@pytest.mark.parametrize("keys", [KEY, ""], ids=["with a key", "without"])
@MANY
@given(args=ARGS, result=RESULTS, below=PATHS, above=PATHS)
def test_no_byte_of_the_database_shows_a_secret(
    keys: str, caplog: pytest.LogCaptureFixture, **drawn: Any
) -> None:
    caplog.clear()
    caplog.set_level(logging.DEBUG, "specflow")
    args, result = drawn["args"], drawn["result"]
    paths = [f"args.{path}" for path in drawn["below"]] + [f"result.{path}" for path in drawn["above"]]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "journal.db").write_bytes(empty_database())
        url = f"sqlite:///{folder}/journal.db"
        given = asyncio.run(booked_and_undone(url, args, result, paths, keys))
        rows = snapshot_of(url)
        stored = b"".join(file.read_bytes() for file in Path(folder).iterdir())
    (row,) = rows.effects
    shown = stored.decode("latin-1") + repr(rows) + caplog.text
    assert [secret for secret in secrets_of(args, result, paths) if secret in shown] == []
    if keys or not (hide("args", args, paths).places or hide("result", result, paths).places):
        assert given == [{"args": args, "result": result}] * 2, "the compensator got what there was"
        assert row.stage is Stage.COMPENSATED
    else:
        assert (given, row.stage) == ([], Stage.STUCK), "nothing was called with a place-holder"


@pytest.mark.postgres
@settings(MANY, max_examples=100 if NIGHTLY else 5)
@given(args=ARGS, result=RESULTS, below=PATHS)
def test_nor_does_postgresql(postgres: PostgresServer, args: Any, result: Any, below: list[str]) -> None:
    url = _shared(postgres)
    paths = [f"{root}.{path}" for root in ("args", "result") for path in below]
    given = asyncio.run(booked_and_undone(url, args, result, paths, KEY))
    assert given == [{"args": args, "result": result}] * 2
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        tables = [name for name in sa.inspect(connection).get_table_names() if name.startswith("sf_")]
        dump = "".join(repr(connection.exec_driver_sql(f"SELECT * FROM {name}").all()) for name in tables)
        connection.exec_driver_sql("TRUNCATE " + ", ".join(name for name in tables if "alembic" not in name))
    engine.dispose()
    assert "sf_effect" in tables
    assert "book" in dump
    assert [secret for secret in secrets_of(args, result, paths) if secret in dump] == []


_DATABASES: dict[int, str] = {}


def _shared(server: PostgresServer) -> str:
    if id(server) not in _DATABASES:
        _DATABASES[id(server)] = server.new_database()
        upgrade(Database(_DATABASES[id(server)]))
    return _DATABASES[id(server)]
