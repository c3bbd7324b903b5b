"""`specflow policy suggest`: sources, output, exit codes, one clear line when it cannot be done."""

# ruff: noqa: E501 - tables of cases read best with a case per line

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from specflow.cli import suggest
from specflow.cli.program import app
from specflow.effects.call import Call
from specflow.effects.tool import ToolSpec
from specflow.errors import InvariantError
from specflow.policy import load
from specflow.policy import loads as load_text

TOOLS = '''
from typing import Any, TypedDict
import dataclasses
from langchain_core.tools import BaseTool, StructuredTool, tool
from pydantic import BaseModel
import specflow as sf
from specflow.effects.tool import ToolSpec

FLIGHTS: dict[str, Any] = {}
SEEN: list[str] = []
RAN: list[str] = []

class Booking(TypedDict):
    booking_id: str

class Ticket(BaseModel):
    ticket_id: str

def search_flights(origin: str) -> list:
    """Search flights."""
    return [flight for flight in FLIGHTS.values() if flight["origin"] == origin]

def view_flight(flight_id: str) -> dict:
    """Shows a flight with its seats."""
    SEEN.append(flight_id)
    return FLIGHTS[flight_id]

def book_flight(flight_id: str) -> Booking:
    """Book a flight."""
    RAN.append(flight_id)
    return {"booking_id": "1"}

def cancel_booking(booking_id: str) -> str:
    """Cancel a booking."""
    return booking_id

@tool
def open_ticket(text: str) -> Ticket:
    """Open a ticket."""
    return Ticket(ticket_id=text)

@tool
async def close_ticket(ticket_id: str) -> str:
    """Close a ticket."""
    return ticket_id

@sf.compensatable(undo="drop_it")
def hold_it(it: str) -> dict:
    """Holds it."""
    return {"hold_id": it}

def drop_it(hold_id: str) -> str:
    """Drops it."""
    return hold_id

class Weather(BaseTool):
    name: str = "get_weather"
    description: str = "Get weather"
    def _run(self, city: str) -> str:
        return city.upper()

LIST = [search_flights, view_flight, book_flight, cancel_booking, open_ticket, close_ticket, hold_it, drop_it, Weather()]
SPECS = [ToolSpec(name="get_it", description="Returns the thing and its parts.")]
EMPTY = []
def boom():
    raise RuntimeError("no")
class Late:
    def __getattr__(self, name):
        raise RuntimeError("no")
'''
API = """
openapi: 3.0.0
paths:
  /pets:
    get: {operationId: listPets, summary: List all pets}
"""
SERVER = '''
from mcp.server.fastmcp import FastMCP
from mcp.types import ToolAnnotations
server = FastMCP("x")
@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
def get_thing(thing_id: str) -> str:
    """Returns a thing with its parts."""
    return thing_id
server.run("stdio")
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "suggest_cli_tools.py").write_text(TOOLS)
    (tmp_path / "api.yaml").write_text(API)
    (tmp_path / "server.py").write_text(SERVER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "suggest_cli_tools", raising=False)
    return tmp_path


def run(*words: str) -> Result:
    result = CliRunner().invoke(app, ["policy", "suggest", *words])
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def effects(result: Result) -> dict[str, str]:
    assert result.exit_code == 0, result.stderr
    return {item["tool"]: item["effect"] for item in json.loads(result.stdout)["tools"]}


def undo(result: Result, name: str) -> Any:
    return next(item["compensate"] for item in json.loads(result.stdout)["tools"] if item["tool"] == name)


def cannot(result: Result, message: str) -> None:
    assert result.exit_code == 2
    assert result.stderr.startswith("specflow: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr


def test_python_tools(folder: Path) -> None:
    result = run("suggest_cli_tools:LIST", "--json")
    assert effects(result) == {
        "book_flight": "compensatable",
        "cancel_booking": "confirmation_required",
        "close_ticket": "confirmation_required",
        "drop_it": "confirmation_required",
        "get_weather": "read_only",
        "hold_it": "compensatable",
        "open_ticket": "compensatable",
        "search_flights": "read_only",
        "view_flight": "confirmation_required",
    }
    assert undo(result, "book_flight") == {
        "tool": "cancel_booking",
        "with": {"booking_id": "result.booking_id"},
    }
    assert undo(result, "open_ticket") == {"tool": "close_ticket", "with": {"ticket_id": "result.ticket_id"}}
    assert undo(result, "hold_it") == {"tool": "drop_it", "with": {"hold_id": "result.hold_id"}}
    assert sys.modules["suggest_cli_tools"].RAN == []


def test_what_is_written_is_a_policy_for_these_tools(folder: Path) -> None:
    assert run("suggest_cli_tools:LIST", "-o", "proposed.yaml").exit_code == 0
    text = (folder / "proposed.yaml").read_text()
    load(folder / "proposed.yaml")
    # Reviewed as the file says, every entry holds for the tool as it is now.
    reviewed = text.replace("    status: proposed\n", "").replace("    # reviewed:", "    reviewed:")
    (folder / "reviewed.yaml").write_text(reviewed)
    explained = CliRunner().invoke(
        app,
        ["policy", "explain", "reviewed.yaml", "--tools", "suggest_cli_tools:LIST", "--json", "--call",
         '{"tool": "search_flights", "args": {"origin": "OSL"}}'],
    )  # fmt: skip
    assert json.loads(explained.stdout)["speculate"] == "now"
    checked = CliRunner().invoke(
        app, ["policy", "check", "proposed.yaml", "--tools", "suggest_cli_tools:LIST", "--json"]
    )
    assert checked.exit_code == 0, checked.output


HOME = '''
LEVEL = {"now": 1}
PEOPLE = {"7": {"name": "Ada", "address": {"city": "Oslo"}}}

def get_level() -> int:
    """Returns how loud it is now."""
    return LEVEL["now"]

def set_level(level: int) -> str:
    """Sets how loud it is."""
    LEVEL["now"] = level
    return "done"

def get_person(person_id: str) -> dict:
    """Returns a person with the address."""
    return PEOPLE[person_id]

def modify_person_city(person_id: str, city: str) -> str:
    """Modifies the city in which a person lives."""
    PEOPLE[person_id]["address"]["city"] = city
    return "done"

TOOLS = [get_level, set_level, get_person, modify_person_city]
'''
RUN = {
    "turns": [
        {"tool_calls": [{"id": "1", "name": "get_person", "args": {"person_id": "7"}}]},
        {
            "tool_results": [
                {"id": "1", "content": '{"name": "Ada", "address": {"city": "Oslo"}}', "error": False}
            ]
        },
    ]
}


def test_undos_that_write_back_what_was_there(folder: Path) -> None:
    (folder / "suggest_cli_home.py").write_text(HOME)
    (folder / "runs.jsonl").write_text(json.dumps(RUN) + "\n")
    unseen = run("suggest_cli_home:TOOLS", "--json")
    assert effects(unseen)["modify_person_city"] == "confirmation_required"
    assert undo(unseen, "set_level") == {
        "before": {"tool": "get_level", "with": {}},
        "tool": "set_level",
        "with": {"level": "before"},
    }
    words = ("suggest_cli_home:TOOLS", "--observed", "runs.jsonl")
    seen = run(*words, "--json")
    assert effects(seen)["modify_person_city"] == "compensatable"
    assert undo(seen, "modify_person_city") == {
        "before": {"tool": "get_person", "with": {"person_id": "args.person_id"}},
        "tool": "modify_person_city",
        "with": {"city": "before.address.city", "person_id": "args.person_id"},
    }
    text = run(*words).stdout
    assert "one recorded result of get_person" in text
    # As accepted by a person it has nothing that the loader or the tools would refuse.
    from specflow.cli.tools import load_tools

    registry = load_tools("suggest_cli_home:TOOLS")
    policy = load_text(text.replace("status: proposed", "status: reviewed"), tools=registry)
    verdict = policy.explain(Call(tool="modify_person_city", args={"person_id": "7", "city": "Rome"}))
    assert verdict.effect == "compensatable"


def test_recorded_runs_that_cannot_be_read(folder: Path) -> None:
    cannot(run("api.yaml", "--observed", "none.jsonl"), "none.jsonl: cannot be read")
    (folder / "runs.jsonl").write_text("no run\n")
    cannot(run("api.yaml", "--observed", "runs.jsonl"), "runs.jsonl:1: not JSON")


def test_output_is_the_same_every_time(folder: Path) -> None:
    first = run("suggest_cli_tools:LIST", "api.yaml").stdout
    assert first == run("api.yaml", "suggest_cli_tools:LIST").stdout
    assert first.startswith("# Proposed by")


def test_tools_of_other_kinds(folder: Path) -> None:
    assert effects(run("suggest_cli_tools:SPECS", "api.yaml", "--json")) == {
        "get_it": "read_only",
        "listPets": "read_only",
    }


def test_mcp_servers_are_believed_only_when_trusted(folder: Path) -> None:
    source = f"mcp+stdio:{sys.executable} server.py"
    assert effects(run(source, "--json", "--timeout", "60")) == {"get_thing": "confirmation_required"}
    assert effects(run(source, "--trust", source, "--json", "--timeout", "60")) == {"get_thing": "read_only"}


def test_a_file_is_never_replaced_unasked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "mine.yaml").write_text("mine")
    cannot(run("api.yaml", "-o", "mine.yaml"), "--force")
    # Nor one that comes about in the meantime.
    with monkeypatch.context() as patch:
        patch.setattr(suggest, "_check_output", lambda output, force: None)
        cannot(run("api.yaml", "-o", "mine.yaml"), "cannot be written")
    assert (folder / "mine.yaml").read_text() == "mine"
    result = run("api.yaml", "-o", "mine.yaml", "--force")
    assert result.exit_code == 0
    assert result.stderr == "1 tools: 1 read_only; all proposed, to be reviewed in mine.yaml\n"
    assert "listPets" in (folder / "mine.yaml").read_text()
    cannot(run("api.yaml", "-o", "absent/mine.yaml"), "cannot be written")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "pkg.mod:attr"),
        (["suggest_cli_tools:NONE"], "has no attribute"),
        (["suggest_cli_tools:EMPTY"], "no tool was found"),
        (["suggest_cli_tools:boom"], "must be a list"),
        (["absent.yaml"], "cannot be read"),
        (["mcp+stdio:"], "needs a command"),
        (["mcp+stdio:specflow-no-such-command \x1b[31m"], "cannot be started"),
        (["mcp+http://"], "not an http"),
        (["api.yaml", "--trust", "mcp+http://x"], "not among the sources"),
        (["api.yaml", "--header", "X"], "NAME=VARIABLE"),
        (["api.yaml", "--header", "X=SPECFLOW_ABSENT"], "no variable SPECFLOW_ABSENT"),
    ],
)
def test_what_cannot_be_done(folder: Path, words: list[str], message: str) -> None:
    result = run(*words)
    cannot(result, message)
    assert "\x1b" not in result.stderr


def test_headers_come_from_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECFLOW_KEY", "s3cret")
    assert suggest._headers(["Authorization=SPECFLOW_KEY"]) == {"Authorization": "s3cret"}
    result = run("mcp+http://127.0.0.1:1/mcp", "--header", "Authorization=SPECFLOW_KEY")
    cannot(result, "does not answer")
    assert "s3cret" not in result.stderr


def test_our_own_bugs_are_not_dressed_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(proposals: object) -> str:
        raise InvariantError("ours")

    monkeypatch.setattr(suggest, "as_yaml", broken)
    result = CliRunner().invoke(app, ["policy", "suggest", "api.yaml"])
    assert isinstance(result.exception, InvariantError)


def test_what_has_no_function_has_none() -> None:
    assert suggest._functions(3) == ()
    assert suggest._of_spec(ToolSpec(name="x"), None, "y").code is None
