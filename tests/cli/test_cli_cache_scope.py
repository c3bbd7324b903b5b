"""Every scope that an early result may have, at the commands that read a policy."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner, Result

from specflow.cli.program import app
from specflow.resources import bundled

SCOPES = ("session", "thread", "tenant", "public")
"""The narrowest first."""
POLICY = """version: 1
tools:
  look: {{effect: read_only, cache: {{ttl: 60s, scope: {scope}}}}}
tests:
  - {{name: early, call: {{tool: look, args: {{}}}}, expect: {{effect: read_only, speculate: now}}}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One policy for each scope, and one for something else."""
    for scope in (*SCOPES, "threads"):
        (tmp_path / f"{scope}.yaml").write_text(POLICY.format(scope=scope))
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["policy", *words])


@pytest.mark.parametrize("scope", SCOPES)
def test_each_is_known(scope: str) -> None:
    for command in ("check", "test"):
        result = run(command, f"{scope}.yaml")
        assert result.exit_code == 0, result.output
    shipped = json.loads(bundled("policies/specflow-policy.v1.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(yaml.safe_load(Path(f"{scope}.yaml").read_text()), shipped)


@pytest.mark.parametrize(("narrow", "wide"), [*combinations(SCOPES, 2)])
def test_the_wider_is_the_looser(narrow: str, wide: str) -> None:
    names, few = (f"{narrow}.yaml", f"{wide}.yaml"), ("--calls", "5", "--json")
    for (old, new), direction, code in ((names, "looser", 1), (names[::-1], "tighter", 0)):
        result = run("diff", old, new, *few)
        assert result.exit_code == code
        (change,) = json.loads(result.stdout)["settings"]
        assert (change["setting"], change["direction"]) == ("cache.scope", direction)
        assert (f"{change['old']}.yaml", f"{change['new']}.yaml") == (old, new)


def test_another_is_refused() -> None:
    result = run("check", "threads.yaml")
    assert result.exit_code == 1
    assert "did you mean 'thread'" in result.output
