"""A runtime keeps secrets when the environment has a key, or when it is given something that does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from specflow.effects.annotate import compensatable, confirmation_required
from specflow.effects.call import Call
from specflow.errors import ConfigurationError
from specflow.policy.load import loads
from specflow.policy.reload import ReloadingPolicy
from specflow.policy.verdict import Speculate
from specflow.runtime import Runtime
from specflow.sealing.environment import sealer_of
from specflow.sealing.keys import new_key
from specflow.sealing.sealer import VARIABLE

POLICY = """\
version: 1
tools:
  book:
    effect: compensatable
    speculate: now
    writes: ["seat:{args.seat}"]
    redact: [args.card, result.token]
    compensate: {tool: cancel, with: {token: result.token, card: args.card}}
  cancel: {effect: confirmation_required, compensator_for: [book]}
"""


@compensatable(undo="cancel")
def book(seat: str, card: str) -> dict[str, Any]:
    """Book."""
    return {"token": "t"}


@confirmation_required
def cancel(token: str, card: str) -> None:
    """Cancel."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "policy.yaml"
    found.write_text(POLICY)
    return found


def verdict(runtime: Runtime) -> tuple[Speculate, str]:
    tool = runtime.registry.require("book")
    found = runtime.policy.judge(tool, Call(tool="book", args={"seat": "12A", "card": "41"}), context={})
    return found.speculate, found.why


def made(policy: Any, tmp_path: Path, **options: Any) -> Runtime:
    return Runtime(
        policy, tools=[book, cancel], journal=f"sqlite:///{tmp_path}/j.db", telemetry=False, **options
    )


@pytest.mark.parametrize("several", [False, True])
def test_the_key_of_the_environment(
    file: Path, tmp_path: Path, several: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = [file] if several else file
    monkeypatch.delenv(VARIABLE, raising=False)
    with made(policy, tmp_path) as runtime:
        speculate, why = verdict(runtime)
        assert speculate is Speculate.NEVER
        assert VARIABLE in why
    monkeypatch.setenv(VARIABLE, new_key())
    with made(policy, tmp_path) as runtime:
        assert verdict(runtime)[0] is Speculate.NOW


def test_a_key_that_is_none_stops_the_runtime(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "hunter2")
    with pytest.raises(ConfigurationError, match="is not a key") as caught:
        made(file, tmp_path)
    assert "hunter2" not in str(caught.value)


def test_a_sealer_of_ones_own(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "hunter2")
    sealer = sealer_of({VARIABLE: new_key()})
    with made(file, tmp_path, sealer=sealer) as runtime:
        assert verdict(runtime)[0] is Speculate.NOW


def test_a_loaded_policy_that_counts_on_a_key_needs_one(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    for policy in (loads(POLICY, keeps_secrets=True), ReloadingPolicy(file, keeps_secrets=True, interval=0)):
        with pytest.raises(ConfigurationError, match="keeps_secrets=True, and nothing keeps secrets here"):
            made(policy, tmp_path)
    with made(loads(POLICY), tmp_path) as runtime:
        assert verdict(runtime)[0] is Speculate.NEVER
    monkeypatch.setenv(VARIABLE, new_key())
    with made(loads(POLICY), tmp_path) as runtime:
        assert verdict(runtime)[0] is Speculate.NEVER, "as it was loaded"
    with ReloadingPolicy(file, keeps_secrets=True, interval=0) as policy, made(policy, tmp_path) as runtime:
        assert verdict(runtime)[0] is Speculate.NOW
