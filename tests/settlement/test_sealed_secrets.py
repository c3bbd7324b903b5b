"""What an undo needs and the policy redacts: kept for it and for nobody else, or, without the key, stuck."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import multiprocessing
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from specflow.cli.program import app
from specflow.effects.call import Call
from specflow.effects.redaction import HIDDEN
from specflow.effects.registry import ToolRegistry
from specflow.errors import ConflictError
from specflow.execution.outcome import success
from specflow.journal.event import EventKind
from specflow.journal.reads import snapshot_of
from specflow.journal.record import EffectRow, Intent, UndoPlan
from specflow.journal.sql import SqlJournal
from specflow.journal.verify import verify
from specflow.lifecycle import Stage
from specflow.policy.load import loads
from specflow.sealing.aes_gcm import AesGcmSealer
from specflow.sealing.keys import new_key, read_keys
from specflow.sealing.sealed import Sealed
from specflow.sealing.sealer import VARIABLE
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.sealed_world import ARGS, BOOK, BOOKED, CARD, PIN, POLICY, TOKEN, World, core_of, killed

KEY = new_key()
SEALER = AesGcmSealer(read_keys(KEY))
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["specflow.testing.sealed_world"])
SECRETS = (CARD, TOKEN, PIN)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/journal.db"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world")


def only(url: str) -> EffectRow:
    (row,) = snapshot_of(url).effects
    return row


def nothing_shows(url: str, *texts: str) -> None:
    """No secret is in the database's files, nor in the texts."""
    folder = Path(url.removeprefix("sqlite:///")).parent
    shown = b"".join(file.read_bytes() for file in folder.glob("journal.db*")) + "".join(texts).encode()
    assert not [secret for secret in SECRETS if secret.encode() in shown]


def with_journal(url: str, work: Callable[[SqlJournal], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        journal = SqlJournal.open(url, **options)
        try:
            await work(journal)
        finally:
            await journal.aclose()

    asyncio.run(main())


async def early_work(core: ScriptedCore) -> None:
    """All of it is done."""
    await asyncio.gather(*(item.work for item in core.session.pending if item.work is not None))


def tamper(url: str, statement: str, *values: str) -> None:
    """Whoever may write to the database writes this."""
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute(statement, values)
        connection.commit()


# ---------------------------------------------------------------------- in one process


def test_an_early_booking_is_undone_with_its_secrets_and_shows_none(
    url: str, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def work(journal: SqlJournal) -> None:
        core = core_of(world, journal, SEALER)
        turn = core.begin()
        core.propose(turn, "book", **ARGS)
        await early_work(core)
        core.end(turn)
        await core.settle()
        began, ended = core.log.of(EventKind.COMPENSATION_STARTED), core.log.of(EventKind.COMPENSATION_ENDED)
        assert [event.outcome for event in ended] == ["compensated"]
        nothing_shows(url, repr(began), repr(ended), caplog.text)

    with_journal(url, work)
    assert world.asked("cancel") == [
        {"token": TOKEN, "card": ARGS["card"], "seat": "12A", "note": "[redacted]"}
    ]
    row = only(url)
    assert row.stage is Stage.COMPENSATED
    assert row.comp_args == {"token": HIDDEN, "card": HIDDEN, "seat": "12A", "note": "[redacted]"}
    assert row.result == {"id": 7, "token": HIDDEN, "note": "[redacted]"}
    nothing_shows(url, repr(snapshot_of(url)))
    assert verify(snapshot_of(url)) == ()


def test_without_a_key_it_is_never_early(url: str, world: World) -> None:
    async def work(journal: SqlJournal) -> None:
        core = core_of(world, journal, None)
        turn = core.begin()
        core.propose(turn, "book", **ARGS)
        await early_work(core)
        core.end(turn)
        await core.settle()

    with_journal(url, work)
    assert world.asked("book") == []


def test_the_real_run_gets_its_result_again_word_for_word(url: str, world: World) -> None:
    async def work(journal: SqlJournal) -> None:
        first = core_of(world, journal, SEALER)
        assert await first.call(BOOK, identity="m1") == BOOKED
        second = core_of(world, journal, SEALER, seed=1)
        assert await second.call(BOOK, identity="m1") == BOOKED
        keyless = core_of(world, journal, None, seed=2)
        with pytest.raises(
            ConflictError, match=r"cannot be given again: .*result of .*set SPECFLOW_JOURNAL_KEY"
        ):
            await keyless.call(BOOK, identity="m1")

    with_journal(url, work)
    assert len(world.asked("book")) == 1, "it was made once"
    nothing_shows(url)


def test_a_secret_that_cannot_be_sealed_after_the_call_does_not_lose_the_call(
    url: str, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        sealed = 0

        def seal(self, secret: bytes, subject: bytes) -> str:
            self.sealed += 1
            if self.sealed > 1:
                raise OSError(f"no key service for {secret!r}")
            return SEALER.seal(secret, subject)

        def open(self, box: str, subject: bytes) -> bytes:
            return SEALER.open(box, subject)

    async def work(journal: SqlJournal) -> None:
        core = core_of(world, journal, Broken())
        assert await core.call(BOOK, identity="m1") == BOOKED
        with pytest.raises(ConflictError, match="cannot be given again"):
            await core.call(BOOK, identity="m1")

    with_journal(url, work)
    assert "could not be sealed" in caplog.text
    assert (only(url).stage, only(url).replayable) == (Stage.DONE, False)
    nothing_shows(url, caplog.text)


def test_what_cannot_be_sealed_before_the_call_is_not_called(url: str, world: World) -> None:
    class Gone:
        def seal(self, secret: bytes, subject: bytes) -> str:
            raise OSError("no key service")

        def open(self, box: str, subject: bytes) -> bytes:
            raise AssertionError

    async def work(journal: SqlJournal) -> None:
        core = core_of(world, journal, Gone())
        with pytest.raises(OSError, match="no key service"):
            await core.call(BOOK, identity="m1")

    with_journal(url, work)
    assert world.asked("book") == []


def test_what_the_compensator_says_may_quote_the_secret_and_is_not_kept(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(name: str) -> None:
        if name == "cancel":
            raise ValueError(f"card {CARD} and token {TOKEN} are unknown")

    async def work(journal: SqlJournal) -> None:
        core = core_of(World(tmp_path / "world", then=refuse), journal, SEALER)
        turn = core.begin()
        core.propose(turn, "book", **ARGS)
        await early_work(core)
        core.end(turn)
        await core.settle()
        nothing_shows(url, repr(core.log.of(EventKind.COMPENSATION_ENDED)), caplog.text)

    with_journal(url, work)
    row = only(url)
    assert row.stage is Stage.STUCK
    assert row.error == "cancel did not undo it in 2 tries: ValueError"
    nothing_shows(url, repr(snapshot_of(url)))


@pytest.mark.parametrize("imitation", ["envelope", "place-holder"])
def test_a_result_that_imitates_what_is_hidden_is_only_a_result(
    url: str, tmp_path: Path, imitation: str
) -> None:
    """Neither decrypted nor refused: the undo gets word for word what the tool said."""
    made = SEALER.seal(b'["x"]', b"row")
    said = {"specflow:sealed": {"places": [["id"]], "box": made}, "value": {"id": 1}}
    said = said if imitation == "envelope" else {"id": "[redacted]", "note": "[redacted]"}

    async def work(journal: SqlJournal) -> None:
        core = core_of(World(tmp_path / "world"), journal, None)
        registry, judge = core.parts.registry, core.parts.judge
        tool = registry.require("cancel")
        settings = judge.settings(registry.require("book"))
        lease = await core.session.lease()
        intent = Intent(
            effect_id="eff_odd",
            branch_id="br_odd",
            tool="book",
            schema_hash=tool.schema_hash,
            policy_hash=judge.hash,
            effect=core.coordinator.verdict(BOOK).effect,
            fingerprint=BOOK.fingerprint,
            args={"seat": "[redacted]"},
            idem_key="k",
            hypothesis="guess",
            undo=UndoPlan(
                tool="cancel", arguments={"whole": "result", "seat": "args.seat", "card": '{"number": 1}'}
            ),
            redacted=True,
            sealed={"args": Sealed()},
        )
        await journal.intend(lease, intent)
        await journal.record(lease, "eff_odd", success(said, ("result.token",)))
        assert settings.redact
        await core.settle()

    with_journal(url, work)
    (asked,) = World(tmp_path / "world").asked("cancel")
    assert (asked["whole"], asked["seat"]) == (said, "[redacted]")
    assert only(url).stage is Stage.COMPENSATED


# ---------------------------------------------------------------------- over several processes


def agent(url: str, world: World, tool: str, key: str) -> None:
    """A process that is killed while it calls `tool`."""
    process = PROCESSES.Process(target=killed, args=(url, world.file, tool, key))
    process.start()
    process.join(100)
    assert process.exitcode == -signal.SIGKILL


def command(monkeypatch: pytest.MonkeyPatch, world: World, key: str, *arguments: str) -> tuple[int, str]:
    """`specflow journal ...` with this key, and the tools and policy of the world."""
    module = world.file.parent / "sealed_tools.py"
    module.write_text(
        "from pathlib import Path\nfrom specflow.testing.sealed_world import World\n"
        f"TOOLS = World(Path({str(world.file)!r})).tools()\n"
    )
    policy = world.file.parent / "policy.yaml"
    policy.write_text(POLICY)
    monkeypatch.syspath_prepend(str(module.parent))
    monkeypatch.delitem(sys.modules, "sealed_tools", raising=False)
    monkeypatch.setenv(VARIABLE, key)
    some = ["--tools", "sealed_tools:TOOLS", "--policy", str(policy)]
    result = CliRunner().invoke(app, ["journal", *arguments, *(some if arguments[0] != "show" else [])])
    return result.exit_code, result.output


@pytest.mark.parametrize("tool", ["book", "cancel"])
def test_another_process_with_the_key_undoes_it(
    url: str, world: World, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent(url, world, tool, KEY)
    code, said = command(monkeypatch, world, f"{new_key()},{KEY}", "recover", "--db", url)
    row = only(url)
    if tool == "book":
        # Whether it happened is unknown, and nobody can be asked: what it returned was never seen.
        assert (code, row.stage) == (1, Stage.STUCK)
        return
    assert (code, row.stage) == (0, Stage.COMPENSATED), said
    assert [asked["token"] for asked in world.asked("cancel")] == [TOKEN, TOKEN], "by its own key, once more"
    nothing_shows(url, said)


@pytest.mark.parametrize("wrong", ["", new_key()], ids=["lost", "another"])
def test_without_the_key_it_is_stuck_and_with_it_goes_on(
    url: str, world: World, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent(url, world, "cancel", KEY)
    before = world.asked("cancel")
    code, said = command(monkeypatch, world, wrong, "recover", "--db", url)
    row = only(url)
    assert (code, row.stage) == (1, Stage.STUCK), said
    assert "cancel needs what the policy has redacted" in row.error
    assert VARIABLE in row.error
    assert world.asked("cancel") == before, "nothing was called with a place-holder"
    again = command(monkeypatch, world, wrong, "resolve", row.effect_id, "--db", url, "--retry")
    assert again[0] == 1
    assert world.asked("cancel") == before
    code, said = command(monkeypatch, world, KEY, "resolve", row.effect_id, "--db", url, "--retry")
    assert (code, only(url).stage) == (0, Stage.COMPENSATED), said
    assert world.asked("cancel")[-1] == before[-1]
    nothing_shows(url, said)
    code, said = command(monkeypatch, world, KEY, "show", row.effect_id, "--db", url, "--json")
    nothing_shows(url, said)
    (shown,) = json.loads(said)["effects"]
    assert shown["sealed"]["comp_args"] == {"places": [["card"], ["token"]], "kept": True}
    assert "1:" not in json.dumps(shown["sealed"]), "not even what is sealed is printed"


@pytest.mark.parametrize("tool", ["keep", "ask"])
def test_a_real_call_that_was_lost_is_asked_after_or_repeated_with_its_secret(
    url: str, world: World, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent(url, world, tool, KEY)
    code, said = command(monkeypatch, world, KEY, "recover", "--db", url)
    row = only(url)
    assert (code, row.stage) == (0, Stage.COMMITTED), said
    asked = world.asked(tool) if tool == "keep" else world.asked("look")
    assert asked[-1]["pin"] == PIN
    assert row.result == {"secret": HIDDEN, "kept": 1}
    assert row.replayable
    nothing_shows(url, said)


@pytest.mark.parametrize("tool", ["keep", "ask"])
def test_without_the_key_a_lost_call_is_neither_repeated_nor_asked_after(
    url: str, world: World, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent(url, world, tool, KEY)
    code, said = command(monkeypatch, world, "", "recover", "--db", url)
    row = only(url)
    assert (code, row.stage) == (1, Stage.STUCK), said
    assert VARIABLE in row.error
    assert (len(world.asked(tool)), world.asked("look")) == (1, [])
    code, said = command(monkeypatch, world, KEY, "resolve", row.effect_id, "--db", url, "--retry")
    assert (code, only(url).stage) == (0, Stage.COMPENSATED), said
    assert world.asked("drop") == [{"pin": PIN}]


@pytest.mark.parametrize("tool", ["keep", "ask"])
def test_what_a_tool_says_when_it_is_asked_again_is_not_kept(
    url: str, world: World, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent(url, world, tool, KEY)

    def refuse(name: str) -> None:
        raise ValueError(f"{PIN} is unknown")

    async def work(journal: SqlJournal) -> None:
        core = core_of(World(world.file, then=refuse), journal, SEALER)
        assert (await core.recover()).stuck == 1

    with_journal(url, work)
    assert "ValueError" in only(url).error
    nothing_shows(url, repr(snapshot_of(url)))


def test_without_the_policy_that_said_what_is_secret_all_of_an_answer_is(url: str, world: World) -> None:
    agent(url, world, "ask", KEY)

    async def work(journal: SqlJournal) -> None:
        tools = world.tools()
        core = ScriptedCore(tools, loads("version: 1\n", tools=ToolRegistry(tools)), journal, sealer=SEALER)
        assert (await core.recover()).stuck == 0

    with_journal(url, work)
    assert (only(url).stage, only(url).result) == (Stage.COMMITTED, HIDDEN)
    nothing_shows(url, repr(snapshot_of(url)))


def test_a_box_moved_to_another_row_is_refused(url: str, world: World) -> None:
    """Whoever writes to the database still cannot have one card charged for another booking."""

    async def work(journal: SqlJournal) -> None:
        core = core_of(world, journal, SEALER, saga=True)
        await core.call(BOOK, identity="m1")
        await core.call(Call(tool="book", args={**ARGS, "seat": "14C"}), identity="m2")
        tamper(url, "UPDATE sf_effect SET args = (SELECT args FROM sf_effect WHERE seq = 1) WHERE seq = 2")
        await core.take_back()

    with_journal(url, work)
    first, second = sorted(snapshot_of(url).effects, key=lambda row: row.seq)
    assert (first.stage, second.stage) == (Stage.COMPENSATED, Stage.STUCK)
    assert "belongs to another effect or field" in second.error
    assert len(world.asked("cancel")) == 1


def test_rows_written_before_it_was_noted_where_something_is_hidden(url: str, world: World) -> None:
    async def work(journal: SqlJournal) -> None:
        core = core_of(world, journal, SEALER, saga=True)
        await core.call(BOOK, identity="m1")
        await core.call(Call(tool="keep", args={"pin": PIN}), identity="m2")
        old = {"args": {"seat": "12A", "card": {"number": HIDDEN}}, "result": {"token": HIDDEN, "note": ""}}
        for column, value in old.items():
            tamper(url, f"UPDATE sf_effect SET {column} = ? WHERE tool = 'book'", json.dumps(value))
        tamper(url, "UPDATE sf_effect SET args = ? WHERE tool = 'keep'", '{"pin":"plain"}')
        await core.take_back()

    with_journal(url, work)
    rows = {row.tool: row for row in snapshot_of(url).effects}
    assert rows["book"].stage is Stage.STUCK
    assert "needs what the policy has redacted" in rows["book"].error
    assert (rows["keep"].stage, world.asked("drop")) == (Stage.COMPENSATED, [{"pin": "plain"}])
