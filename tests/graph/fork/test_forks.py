"""A graph run ahead on a guess: sooner when it is right, and never anything else than without specflow."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from specflow.journal.event import EventKind


def _load(name: str) -> Any:
    """A file beside this one: tests are no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


trial_of = _load("fork_trial")
Trial = trial_of.Trial

KINDS = ("create_agent", "StateGraph", "fan_out")
WAYS = [(kind, asynchronous) for kind in KINDS for asynchronous in (True, False)]


@pytest.mark.parametrize(("kind", "asynchronous"), WAYS)
@pytest.mark.parametrize("guess", ["sunny in Rome", "rain"])
async def test_with_and_without_forks_the_user_sees_the_same(
    tmp_path: Path, kind: str, asynchronous: bool, guess: str
) -> None:
    bare = Trial(kind=kind, asynchronous=asynchronous, specflow=False)
    want = await bare.run(tmp_path)
    right = guess == "sunny in Rome"
    trial = Trial(kind=kind, asynchronous=asynchronous, guess=guess)
    got = await trial.run(tmp_path)
    assert got == want
    assert trial.world.early, "the fork ran a tool"
    told = trial.log.of(EventKind.MODEL_CALL_RESOLVED)
    assert {event.outcome for event in told} <= ({"hit", "late"} if right else {"cancelled"})
    assert told
    assert all((event.facts["saved"] > 0) is right for event in told)
    if right:
        assert trial.world.real == ["weather"], "the rest was adopted"
        assert trial.requests == bare.requests, "no call of the model more than without"
    else:
        assert trial.world.real == ["weather", "advice"]
        assert trial.requests == bare.requests + 2, "what the fork asked for nothing"


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_checkpoints_in_a_database_are_the_same(tmp_path: Path, asynchronous: bool) -> None:
    want = await Trial(asynchronous=asynchronous, specflow=False).run(tmp_path, "sqlite")
    (tmp_path / "checkpoints.db").unlink()
    trial = Trial(asynchronous=asynchronous)
    assert await trial.run(tmp_path, "sqlite") == want
    assert trial.world.early


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
@pytest.mark.parametrize("version", ["v2", "v3"])
@pytest.mark.parametrize("kind", ["create_agent", "StateGraph"])
async def test_events_are_the_same(tmp_path: Path, kind: str, version: str) -> None:
    seen = []
    for specflow in (False, True):
        trial = Trial(kind=kind, specflow=specflow, events=version)
        await trial.run(tmp_path)
        seen.append(trial.told)
        assert not specflow or trial.world.real == ["weather"]
    assert seen[0] == seen[1]
