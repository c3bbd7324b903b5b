"""`specflow policy`: exit codes, JSON shapes, one clear line when it cannot be done."""

# ruff: noqa: E501 - tables of policies and calls read best with a case per line

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from specflow.cli.policy import app

POLICY = """version: 1
tools:
  search: {effect: read_only}
  book: {effect: compensatable, compensate: {tool: cancel, with: {id: result.id}}}
  cancel: {effect: confirmation_required}
tests:
  - {name: reads run early, call: {tool: search}, expect: {speculate: now}}
"""
TOOLS = """
from specflow.effects.tool import ToolSpec
from specflow.effects.registry import ToolRegistry

def spec(name, *needs):
    return ToolSpec(name=name, parameters={"type": "object", "properties": {n: {} for n in needs}, "required": list(needs)})

LIST = [spec("search"), spec("book", "id"), spec("cancel", "booking_id")]
REGISTRY = ToolRegistry(LIST)
TEXT = "search"
class Box:
    LIST = LIST
def leave():
    raise SystemExit(3)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "p.yaml").write_text(POLICY)
    (tmp_path / "bad.yaml").write_text("version: 1\ntoolz: {}\nx: 1\n")
    (tmp_path / "policy_cli_tools.py").write_text(TOOLS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "policy_cli_tools", raising=False)
    return tmp_path


def run(*words: str, **options: Any) -> Result:
    result = CliRunner().invoke(app, list(words), **options)
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def cannot(result: Result, message: str) -> None:
    assert result.exit_code == 2
    assert result.stderr.startswith("specflow: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr


def test_check_clean(folder: Path) -> None:
    result = run("check", "p.yaml")
    assert (result.exit_code, result.stdout) == (0, "no findings in p.yaml\n")
    assert json.loads(run("check", "p.yaml", "--json").stdout) == {"findings": [], "notes": []}


def test_check_findings(folder: Path) -> None:
    result = run("check", "bad.yaml")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "bad.yaml:2:1 toolz: unknown field 'toolz' (did you mean 'tools'?)",
        "bad.yaml:3:1 x: unknown field 'x'",
    ]
    found = json.loads(run("check", "bad.yaml", "--json").stdout)["findings"]
    assert found[0] == {
        "file": "bad.yaml", "line": 2, "column": 1, "path": "toolz", "code": "unknown_field",
        "message": "unknown field 'toolz' (did you mean 'tools'?)", "severity": "error",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["LIST", "REGISTRY", "Box.LIST"])
def test_check_against_tools(folder: Path, name: str) -> None:
    result = run("check", "p.yaml", "--tools", f"policy_cli_tools:{name}")
    assert result.exit_code == 1
    assert "4:67 tools.book.compensate.with.id: SF206 cancel has no parameter 'id'" in result.stdout
    assert "SF205 cancel requires 'booking_id', which is not mapped" in result.stdout


def test_notes_are_shown_and_are_no_findings(folder: Path) -> None:
    (folder / "n.yaml").write_text("version: 1\ntools: {my_agent: {effect: read_only}}\n")
    result = run("check", "n.yaml")
    assert result.exit_code == 0
    assert result.stdout.startswith("n.yaml:2:9 tools.my_agent: SF307 note: it looks as if")
    assert result.stdout.endswith("no findings in n.yaml\n")
    found = json.loads(run("check", "n.yaml", "--json").stdout)
    assert (found["findings"], found["notes"][0]["code"]) == ([], "SF307")


def test_warnings_are_findings(folder: Path) -> None:
    (folder / "w.yaml").write_text("version: 1\ntools: {pay: {effect: deny, cache: {ttl: 1s}}}\n")
    result = run("check", "w.yaml", "--json")
    assert result.exit_code == 1
    assert [(f["code"], f["severity"]) for f in json.loads(result.stdout)["findings"]] == [
        ("SF302", "warning")
    ]


def test_check_unreadable(folder: Path) -> None:
    cannot(run("check", "none.yaml"), "none.yaml: no such file")
    result = run("check", "none.yaml", "bad.yaml", "--json")
    assert result.exit_code == 2
    assert [item["code"] for item in json.loads(result.stdout)["findings"]][:2] == [
        "unknown_field",
        "unknown_field",
    ]
    assert run("check").exit_code == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("policy_cli_tools", "pkg.mod:attr"),
        (":x", "pkg.mod:attr"),
        ("none_such_module:x", "No module named"),
        ("policy_cli_tools:none", "no attribute"),
        ("policy_cli_tools:TEXT", "must be a list"),
        ("policy_cli_tools:spec", "must be a list"),
    ],
)
def test_tools_that_cannot_be_had(folder: Path, name: str, message: str) -> None:
    for words in (
        ("check", "p.yaml"),
        ("test", "p.yaml"),
        ("explain", "p.yaml", "--call", '{"tool": "search"}'),
    ):
        cannot(run(*words, "--tools", name), message)


def test_explain(folder: Path) -> None:
    call = '{"tool": "search", "args": {"x": "OSL"}, "context": {}}'
    result = run("explain", "p.yaml", "--call", call)
    assert result.exit_code == 0
    assert result.stdout.startswith("search: read_only, speculate: now\n  declared:")
    assert "early from confidence 0.6, by anyone" in result.stdout
    found = json.loads(run("explain", "p.yaml", "--call", call, "--json").stdout)
    assert (found["tool"], found["effect"], found["speculate"]) == ("search", "read_only", "now")
    assert len(found["policy_hash"]) == 64
    assert found["reasons"][0] == {"code": "declared", "message": "declared read_only", "where": "p.yaml:3:3"}
    asked = run("explain", "p.yaml", "--call", "-", input='{"tool": "cancel"}')
    assert "confirm: ask" in asked.stdout
    unknown = run(
        "explain", "p.yaml", "--call", '{"tool": "zzz"}', "--tools", "policy_cli_tools:LIST", "--json"
    )
    assert "unregistered" in unknown.stdout


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("{", "not JSON"),
        ("[]", "--call: the call"),
        ("{}", "--call: tool"),
        ('{"tool": 1}', "--call: tool"),
        ('{"tool": "x", "argz": {}}', "--call: argz"),
        ('{"tool": "x", "args": {"a": NaN}}', "cannot be used"),
        ('{"tool": "x", "args": {"a": "\\ud800"}}', "cannot be used"),
        ("[" * 100_000, "cannot be used"),
        ('{"tool": "x", "args": {"a": ' + "1" * 5000 + "}}", "cannot be used"),
    ],
)
def test_calls_that_are_no_calls(folder: Path, call: str, message: str) -> None:
    cannot(run("explain", "p.yaml", "--call", call), message)


def test_a_policy_that_cannot_be_used(folder: Path) -> None:
    for words in (("explain", "bad.yaml", "--call", "{}"), ("test", "bad.yaml")):
        cannot(run(*words), "and 1 more: run `specflow policy check bad.yaml`")
    cannot(run("test", "none.yaml"), "no such file")


def test_names_cannot_steer_the_terminal(folder: Path) -> None:
    result = run("explain", "p.yaml", "--call", '{"tool": "x\\u001b[2J\\u202ey"}')
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    assert "x\\x1b[2J\\x202ey" in result.stdout


def test_inline_tests(folder: Path) -> None:
    result = run("test", "p.yaml")
    assert (result.exit_code, result.stdout) == (0, "ok   reads run early\n1 passed, 0 failed\n")
    (folder / "f.yaml").write_text(POLICY.replace("speculate: now", "speculate: hold"))
    failed = run("test", "f.yaml")
    assert failed.exit_code == 1
    assert "FAIL reads run early\n     f.yaml:7:5: speculate: expected hold, got now" in failed.stdout
    found = json.loads(run("test", "f.yaml", "--json").stdout)
    assert (found["passed"], found["failed"], found["tests"][0]["passed"]) == (0, 1, False)


def test_schema() -> None:
    result = run("schema")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["title"] == "specflow policy, version 1"


@pytest.mark.parametrize("command", ["check", "explain", "test", "schema"])
def test_help_has_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Example: specflow policy" in result.stdout


def test_plain_functions_and_langchain_tools_are_read(folder: Path) -> None:
    (folder / "policy_cli_functions.py").write_text(
        "import specflow.effects.annotate as sf\n"
        "@sf.read_only\n"
        'def search(origin: str) -> list[str]:\n    """Search."""\n    return []\n'
        "TOOLS = [search]\n"
    )
    call = '{"tool": "search", "args": {"origin": "OSL"}}'
    found = run("explain", "p.yaml", "--call", call, "--tools", "policy_cli_functions:TOOLS", "--json")
    assert found.exit_code == 0
    shown = json.loads(found.stdout)
    assert shown["speculate"] == "now"
    assert len(shown["schema_hash"]) == 64
