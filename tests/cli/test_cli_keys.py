"""Keys on the command line: making one, and what policies say with and without one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from specflow.cli.program import app
from specflow.sealing.keys import new_key, read_keys
from specflow.sealing.sealer import VARIABLE

POLICY = """\
version: 1
tools:
  book:
    effect: compensatable
    speculate: now
    redact: [args.card]
    compensate: {tool: cancel, with: {card: args.card}}
  cancel: {effect: confirmation_required, compensator_for: [book]}
tests:
  - name: a booking may run early
    call: {tool: book, args: {card: "41"}}
    expect: {speculate: now}
"""


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


@pytest.fixture
def policy(tmp_path: Path) -> str:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    return str(file)


def test_a_new_key_is_printed_alone_so_that_a_shell_can_take_it() -> None:
    code, said = run("db", "new-key")
    assert (code, said.count("\n"), len(read_keys(said))) == (0, 1, 1)
    assert len(read_keys(json.loads(run("db", "new-key", "--json")[1])["key"])) == 1
    assert run("db", "new-key")[1] != said


def test_lint_and_explain_say_which_variable_would_help(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    call = ("--call", '{"tool": "book", "args": {"card": "41"}}')
    code, said = run("policy", "check", policy)
    assert code == 1
    assert "SF208" in run("policy", "check", policy, "--json")[1]
    assert VARIABLE in said
    assert VARIABLE in run("policy", "explain", policy, *call)[1]
    assert run("policy", "test", policy)[0] == 1
    monkeypatch.setenv(VARIABLE, new_key())
    assert "SF208" not in run("policy", "check", policy, "--json")[1]
    assert json.loads(run("policy", "explain", policy, *call, "--json")[1])["speculate"] == "now"
    assert run("policy", "test", policy)[0] == 0


@pytest.mark.parametrize("command", ["check", "test"])
def test_what_is_no_key_is_said_in_one_line(
    policy: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "hunter2")
    code, said = run("policy", command, policy)
    assert code == 2
    assert f"{VARIABLE}: key 1 is not a key" in said
    assert "hunter2" not in said


def test_recovery_refuses_what_is_no_key_before_it_moves_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = f"sqlite:///{tmp_path}/journal.db"
    assert run("db", "upgrade", "--db", db)[0] == 0
    monkeypatch.setenv(VARIABLE, "hunter2")
    code, said = run("journal", "recover", "--db", db)
    assert code == 2
    assert "is not a key" in said
