"""Killed by SIGKILL inside LangGraph, resumed by another process: each effect is there exactly once.

The table of the documentation, one process at a time: where LangGraph keeps checkpoints (sync, async, exit),
where the process dies, in which form the agent is written, and what its tool offers.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from specflow.testing.crash import AVAILABLE, WHY_NOT, CrashScenario, CrashServer
from specflow.testing.postgres import PostgresServer

HERE = Path(__file__).parent


def _load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


KINDS = _load("resume_world").KINDS
pytestmark = pytest.mark.skipif(not AVAILABLE, reason=WHY_NOT)

NIGHTLY = bool(os.environ.get("SPECFLOW_NIGHTLY"))
DURABILITIES = ("sync", "async", "exit")
FORMS = ("create_agent", "StateGraph")
JOURNAL_POINTS = ("intent.before", "intent.committed", "call.before", "call.after", "outcome.committed")
IN_THE_TOOL, IN_THE_NEXT_NODE, BEFORE = "world.done", "model.1", "world.before"

Args = Mapping[str, Any]


@pytest.fixture(scope="module")
def server() -> Iterator[CrashServer]:
    scenario = CrashScenario(
        run="resume_world:work",
        recover="resume_world:resume",
        check="resume_world:check",
        prepare="resume_world:warm",
        args={"run_key": "request 1", "plan": [["A1"]], "form": "create_agent", "asynchronous": False},
        paths=(str(HERE),),
    )
    with CrashServer(scenario, timeout=300.0) as server:
        yield server


def survives(server: CrashServer, *points: str, missing: bool = False, **args: Any) -> None:
    """The trial went as `check` wants it, and every process died where it was to die, but for `missing`."""
    trial = server.trial(*points, args=args)
    assert not trial.error, f"{points} {args}: {trial.error}"
    assert missing or not trial.missed, f"{points} {args}: never came to {trial.missed}"


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("durability", "asynchronous"),
    list(itertools.product(DURABILITIES, (True, False))) if NIGHTLY else [("async", True)],
)
def test_with_the_checkpoints_on_postgresql(
    server: CrashServer, postgres: PostgresServer, durability: str, asynchronous: bool
) -> None:
    for point in (IN_THE_TOOL, IN_THE_NEXT_NODE):
        url = postgres.new_database().replace("postgresql+psycopg", "postgresql")
        cell = {"durability": durability, "asynchronous": asynchronous, "checkpoints": url}
        survives(server, point, **cell, kind="keyed", expect="once")


def _table() -> Iterator[Any]:
    """Every cell at night; in CI each durability, point and kind, in forms that take turns."""
    cells = itertools.product(DURABILITIES, (IN_THE_TOOL, IN_THE_NEXT_NODE, BEFORE), KINDS)
    for number, (durability, point, kind) in enumerate(cells):
        ways = list(itertools.product(FORMS, (True, False)))
        if point == BEFORE and durability != DURABILITIES[number % 3] and not NIGHTLY:
            continue
        for form, asynchronous in ways if NIGHTLY else [ways[(number + number // 5) % 4]]:
            name = f"{durability}-{point}-{kind}-{form}-{'ainvoke' if asynchronous else 'invoke'}"
            cell = {"durability": durability, "kind": kind, "form": form, "asynchronous": asynchronous}
            yield pytest.param(point, cell, id=name)


@pytest.mark.parametrize(("point", "cell"), list(_table()))
def test_an_effect_is_there_once_or_says_that_nobody_can_tell(
    server: CrashServer, point: str, cell: dict[str, Any]
) -> None:
    # In the next node its outcome is on record: then it is given again, whatever the tool offers.
    known = point == IN_THE_NEXT_NODE or KINDS[cell["kind"]] == "once"
    bookings = 0 if point == BEFORE else 1
    survives(server, point, **cell, expect="once" if known else "stuck", bookings=bookings)


@pytest.mark.parametrize(
    ("durability", "point", "bookings"),
    [
        ("sync", IN_THE_TOOL, 2),
        ("sync", IN_THE_NEXT_NODE, 1),
        ("async", IN_THE_TOOL, 2),
        ("exit", IN_THE_TOOL, 2),
        ("exit", IN_THE_NEXT_NODE, 2),
    ],
)
def test_without_specflow_a_checkpoint_is_not_a_journal(
    server: CrashServer, durability: str, point: str, bookings: int
) -> None:
    """A canary. (`async`, in the next node, depends on what was saved in time: once or twice.)"""
    survives(
        server, point, durability=durability, kind="bare", plain=True, expect=["A1"] * bookings, run_key=""
    )


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_where_a_checkpoint_survives_no_name_is_needed(server: CrashServer, durability: str) -> None:
    survives(server, IN_THE_TOOL, durability=durability, kind="keyed", run_key="", expect="once")


@pytest.mark.parametrize("durability", DURABILITIES)
def test_a_process_that_dies_during_early_work(server: CrashServer, durability: str) -> None:
    """What nobody had asked for yet is taken back, and made when it is asked for."""
    early = {"kind": "early", "asynchronous": True, "expect": "once", "taken_back": ["A1"]}
    survives(server, IN_THE_TOOL, durability=durability, **early)


@pytest.mark.parametrize(
    ("durability", "asynchronous"), list(zip(DURABILITIES, (True, False, True), strict=True))
)
def test_a_process_that_dies_while_somebody_is_asked(
    server: CrashServer, durability: str, asynchronous: bool
) -> None:
    told = {"kind": "asked", "durability": durability, "asynchronous": asynchronous}
    survives(server, "answered", **told, expect="once")
    survives(server, "answered", BEFORE, **told, expect="stuck", bookings=0)
    survives(server, "answered", IN_THE_NEXT_NODE, **told, expect="once")


def test_what_an_operator_has_recovered_meanwhile_is_not_made_beside_itself(server: CrashServer) -> None:
    """The model asks under a new id, and the session that was stuck is nobody's any more."""
    told = {"durability": "exit", "recovered": True}
    survives(server, IN_THE_TOOL, **told, kind="bare", expect="stuck", bookings=1)
    survives(server, IN_THE_TOOL, **told, kind="keyed", expect="once")


@pytest.mark.parametrize("durability", DURABILITIES)
def test_several_calls_some_of_them_equal(server: CrashServer, durability: str) -> None:
    """Two equal ones are two; and two deaths of one run are not more than one."""
    plan = [["A1", "B2"], ["A1"]]
    survives(server, "model.2", durability=durability, kind="keyed", plan=plan, expect="once")
    survives(server, "world.done#2", "model.2", durability=durability, kind="keyed", plan=plan, expect="once")


def _generated(seed: int) -> tuple[list[str], dict[str, Any]]:
    """Where one process dies, or two of them one after the other; and the agent they run."""
    draw = random.Random(seed)
    kind = draw.choice(list(KINDS))
    # Of two equal bookings `verify` could not say which of them it has found.
    seats = ["A1", "A1", "B2", "B2", "C3"] if kind != "verifiable" else ["A1", "B2", "C3", "D4", "E5"]
    draw.shuffle(seats)
    plan = [[seats.pop() for _ in range(draw.randint(1, 2))] for _ in range(draw.randint(1, 2))]
    points = [*JOURNAL_POINTS, IN_THE_TOOL, BEFORE]
    deaths = [f"{draw.choice(points)}#{draw.randint(1, 3)}"]
    deaths += [draw.choice([f"model.{draw.randint(0, 2)}", *points]) for _ in range(draw.randint(0, 1))]
    draw.shuffle(deaths)
    told = {
        "kind": kind,
        "plan": plan,
        "durability": draw.choice(DURABILITIES),
        "form": draw.choice(FORMS),
        "asynchronous": draw.random() < 0.5,
        "expect": "once" if KINDS[kind] == "once" else "honest",
    }
    return deaths, told


@pytest.mark.parametrize("seed", range(200 if NIGHTLY else 5))
def test_any_agent_that_dies_anywhere(server: CrashServer, seed: int) -> None:
    deaths, told = _generated(seed)
    survives(server, *deaths, missing=True, **told)
