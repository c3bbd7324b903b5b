"""`specflow policy diff`: exit codes, JSON, one clear line when it cannot be done."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from specflow.cli import policy_diff
from specflow.cli.program import app
from specflow.effects.call import Call
from specflow.policy import load

OLD = """version: 1
tools:
  pay:
    effect: compensatable
    speculate: now
    compensate: {tool: refund, with: {id: args.id}}
    rules:
      - {id: large, when: args.amount > 100, require: {effect: confirmation_required}}
  refund: {effect: confirmation_required, compensator_for: [pay]}
"""
TOOLS = """
from specflow.effects.tool import ToolSpec

def spec(name, **kinds):
    properties = {field: {"type": kind} for field, kind in kinds.items()}
    schema = {"type": "object", "properties": properties, "required": list(kinds)}
    return ToolSpec(name=name, parameters=schema)

LIST = [spec("pay", id="string", amount="integer"), spec("refund", id="string")]
NONE = []
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "old.yaml").write_text(OLD)
    (tmp_path / "new.yaml").write_text(OLD.replace("> 100", "> 102"))
    (tmp_path / "tighter.yaml").write_text(OLD.replace("> 100", "> 50"))
    (tmp_path / "bad.yaml").write_text("version: 1\ntoolz: {}\n")
    (tmp_path / "policy_diff_tools.py").write_text(TOOLS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "policy_diff_tools", raising=False)
    return tmp_path


def run(*words: str) -> Result:
    result = CliRunner().invoke(app, ["policy", "diff", *words])
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_a_loosening_is_shown_with_both_verdicts(folder: Path) -> None:
    result = run("old.yaml", "new.yaml", "--tools", "policy_diff_tools:LIST")
    assert result.exit_code == 1
    assert (
        '  pay runs early, runs without confirmation\n    call: {"tool": "pay", "args": {"amount": 101, "id":'
        in (result.stdout)
    )
    assert "large: requires confirmation_required  [old.yaml:8:9]" in result.stdout
    assert "calls tried on 2 tools; this is a search, not a proof" in result.stdout
    assert "not proven: calls that were not tried" in result.stdout


def test_json_holds_calls_that_explain_takes(folder: Path) -> None:
    result = run("old.yaml", "new.yaml", "--json", "--calls", "500", "--seed", "3")
    assert result.exit_code == 1
    told: dict[str, Any] = json.loads(result.stdout)
    assert (told["loosened"], told["seed"], told["calls"]) == (True, 3, 500)
    assert {tried["tool"]: tried["same"] for tried in told["tried"]}["refund"]
    for item in told["looser"]:
        call = Call(tool=item["call"]["tool"], args=item["call"]["args"])
        for side in ("old", "new"):
            verdict = load(f"{side}.yaml").explain(call, context=item["call"]["context"])
            assert item[side]["effect"] == verdict.effect
            assert item[side]["speculate"] == verdict.speculate
            assert item[side]["reasons"]


def test_no_loosening(folder: Path) -> None:
    result = run("old.yaml", "tighter.yaml")
    assert result.exit_code == 0
    assert "tighter: so in OLD, no longer in NEW\n  pay runs early" in result.stdout
    assert "no loosening found" in result.stdout
    assert run("old.yaml", "old.yaml").exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("old.yaml", "missing.yaml"), "missing.yaml: no such file"),
        (("missing.yaml", "old.yaml"), "missing.yaml: no such file"),
        (("old.yaml", "bad.yaml"), "did you mean 'tools'?"),
        (("old.yaml", "new.yaml", "--tools", "no_such_module:X"), "--tools no_such_module:X"),
        (("old.yaml", "new.yaml", "--tools", "policy_diff_tools:NONE"), "there are no tools in it"),
        (("old.yaml", "new.yaml", "--calls", "0"), ""),
        (("old.yaml",), ""),
    ],
)
def test_cannot(folder: Path, words: tuple[str, ...], message: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_help_has_an_example(folder: Path) -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "Example: specflow policy diff" in " ".join(result.stdout.split())


def test_a_terminal_is_told_which_tool(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    with policy_diff._progress() as tell:
        tell("pay[red]\x1b")
    assert "trying calls of" in sys.stderr.getvalue()  # type: ignore[attr-defined]
