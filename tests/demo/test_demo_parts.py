"""The demo's own parts, each by itself."""

from __future__ import annotations

import asyncio
import io
import sqlite3

import pytest
from rich.console import Console

from specflow.demo.approval import Approval, say_no
from specflow.demo.database import open_database, sqlite_path
from specflow.demo.live import Screen
from specflow.demo.measure import TimedCall, TimedTurn, bound_seconds
from specflow.demo.recovery import recovery_tools
from specflow.demo.timeline import Kind, Timeline, describe
from specflow.demo.watch import Watch
from specflow.effects.call import Call
from specflow.errors import ConfigurationError
from specflow.journal.event import CallEvent, EventKind


class StepClock:
    def __init__(self) -> None:
        self.at = 100.0

    def monotonic(self) -> float:
        return self.at

    def wall(self) -> float:
        return self.at


def test_the_clock_of_a_run_stands_still_while_a_person_thinks():
    clock = StepClock()
    line = Timeline("run", clock=clock)
    line.start()
    clock.at += 2
    line.pause()
    clock.at += 60
    assert line.now() == 2
    line.resume()
    clock.at += 1
    assert line.finish() == 3
    clock.at += 10
    assert line.now() == 3


def test_bars_that_are_open_when_the_run_ends_end_with_it():
    clock = StepClock()
    line = Timeline("run", clock=clock)
    line.start()
    line.begin("a", Kind.EARLY, "search")
    line.begin("b", Kind.TOOL, "charge")
    line.drop("b")
    clock.at += 4
    line.finish()
    assert [(bar.label, bar.end) for bar in line.bars] == [("search", 4)]
    line.end("a", "cancelled")
    assert (line.bars[0].end, line.bars[0].note) == (4, "cancelled")


def test_a_call_is_described_in_one_printable_line():
    assert describe("book", {"flight": "TP351", "who": "Ada"}) == "book(TP351, Ada)"
    hostile = describe("t", {"x": "\x1b[2J\nrm", "y": "z" * 200}, width=40)
    assert len(hostile) == 40
    assert hostile.isprintable()


def event(
    kind: EventKind, spec: str = "s1", outcome: str = "", tool: str = "book", **more: object
) -> CallEvent:
    return CallEvent(
        kind=kind, at=0.0, speculation_id=spec, outcome=outcome, call=Call(tool=tool, args={"x": 1}), **more
    )


def test_outcomes_are_counted_once_each():
    watch = Watch(Timeline("run"))
    for seen in (
        event(EventKind.LAUNCHED, "a"),
        event(EventKind.RESOLVED, "a", "hit"),
        event(EventKind.CALL_ENDED, "a", "hit", facts={"saved": 1.5}),
        event(EventKind.CALL_ENDED, "", "miss"),
        event(EventKind.LAUNCHED, "b"),
        event(EventKind.RESOLVED, "b", "compensated"),
        event(EventKind.LAUNCHED, "c"),
        event(EventKind.RESOLVED, "c", "cancelled", tool="look"),
        event(EventKind.LAUNCHED, "d"),
        event(EventKind.RESOLVED, "d", "stale"),
        event(EventKind.CALL_ENDED, "", "stale"),
        event(EventKind.CALL_ENDED, "", "refused"),
    ):
        watch.see(seen)
    counted = {name: count for name, count in watch.outcomes.items() if count}
    assert counted == {"hit": 1, "miss": 1, "compensated": 1, "cancelled": 1, "stale": 1}
    assert (watch.launched, watch.wasted, watch.saved) == (4, 3, 1.5)
    assert (watch.undone, watch.cancelled) == (["book(1)"], ["look(1)"])
    assert [bar.note for bar in watch.timeline.bars] == ["hit", "compensated", "cancelled", "stale"]


async def test_a_person_is_asked_once_about_the_same_call():
    asked: list[object] = []

    async def ask(request):
        asked.append(request["args"])
        await asyncio.sleep(0.01)
        return request["args"]["amount"] < 100

    approval = Approval(ask)
    request = {"type": "tool_approval", "name": "charge", "args": {"amount": 5}, "tool_call_id": "1"}
    both = await asyncio.gather(approval.decide(request), approval.decide({**request, "tool_call_id": "2"}))
    assert both == [{"type": "approve"}, {"type": "approve"}]
    assert len(asked) == 1
    other = await approval.decide({**request, "args": {"amount": 500}})
    assert other["type"] == "reject"
    assert len(asked) == 2


async def test_without_a_terminal_the_charge_is_declined_and_said_so(capsys):
    decision = await Approval(say_no).decide({"name": "charge_card", "args": {}})
    assert decision["type"] == "reject"
    assert "declined" in capsys.readouterr().err


def call(tool: str, seconds: float) -> TimedCall:
    return TimedCall(call_id=tool, tool=tool, args={}, seconds=seconds)


def test_the_bound_hides_early_tools_behind_the_model_and_adds_the_others():
    turns = [
        TimedTurn(started=0, model_seconds=3, calls=[call("read", 2), call("read", 1)]),
        TimedTurn(started=0, model_seconds=1, calls=[call("read", 2)]),
        TimedTurn(started=0, model_seconds=1, calls=[call("charge", 2), call("read", 9)]),
        TimedTurn(started=0, model_seconds=1, calls=[call("charge", 2), call("read", 1)]),
        TimedTurn(started=0, model_seconds=0.5),
    ]
    assert bound_seconds(turns, lambda item: item.tool == "read") == 3 + 2 + 9 + 3 + 0.5
    assert bound_seconds(turns, lambda item: False) == 5 + 3 + 10 + 3 + 0.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sqlite:///a.db", "a.db"),
        ("sqlite:////tmp/a.db", "/tmp/a.db"),
        ("sqlite+pysqlite:///a.db?x=1", "a.db"),
        ("a.db", "a.db"),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("postgresql://me:secret@host/db", None),
        ("", None),
    ],
)
def test_database_urls(text, expected):
    path = sqlite_path(text)
    assert (path.as_posix() if path else None) == expected


def test_an_unusable_database_is_refused_in_one_line(tmp_path):
    junk = tmp_path / "junk.db"
    junk.write_text("not a database, really not")
    for text in (str(junk), f"sqlite:///{tmp_path}/none/x.db", str(tmp_path), "sqlite://"):
        with pytest.raises(ConfigurationError):
            open_database(text)
    with pytest.raises(ConfigurationError) as caught:
        open_database("postgresql://me:secret@host/db")
    assert "secret" not in str(caught.value)


def test_the_sequential_desk_is_a_sibling(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/d.db")
    assert database.url == f"sqlite:///{tmp_path}/d.db"
    assert database.sequential == tmp_path / "d-sequential.db"


def test_recovery_tools_only_for_a_desk(tmp_path):
    from specflow.demo.bundle import load_desk

    file = tmp_path / "d.db"
    url = f"sqlite:///{file}"
    assert recovery_tools(url) is None
    assert recovery_tools("postgresql://host/db") is None
    file.write_text("junk that is not a database at all, of a certain length " * 30)
    assert recovery_tools(url) is None
    file.unlink()
    sqlite3.connect(file).close()
    assert recovery_tools(url) is None
    load_desk().desk(file).store.reset()
    tools = recovery_tools(url)
    assert tools is not None
    assert {"book_flight", "cancel_booking", "find_booking", "charge_card"} <= {tool.name for tool in tools}


def test_the_picture_shows_both_columns_and_no_control_characters():
    clock = StepClock()
    one, two = Timeline("sequential", clock=clock), Timeline("speculative", clock=clock)
    console = Console(width=120, record=True, force_terminal=True, file=io.StringIO())
    screen = Screen(console)
    screen._lines = (one, two)
    for line in (one, two):
        line.start()
    one.begin("m", Kind.THINK, "model, turn 1")
    two.begin("e", Kind.EARLY, describe("search", {"q": "[bold]x\x1b[2J"}))
    clock.at += 5
    two.end("e", "hit")
    console.print(screen.picture())
    text = console.export_text()
    assert "sequential" in text
    assert "speculative" in text
    assert "model, turn 1" in text
    assert "[bold]x" in text
    assert "\x1b[2J" not in text
    assert "hit" in text
