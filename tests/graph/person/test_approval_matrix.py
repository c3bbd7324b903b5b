"""Whoever asks, however the graph is built and wherever it is resumed: the decision has its one effect."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

import specflow as sf
from specflow.journal.reads import snapshot_of
from specflow.journal.record import Snapshot
from specflow.journal.verify import verify
from specflow.testing.approval_scenes import (
    DECISIONS,
    PAID,
    SCENES,
    TOLD,
    Scene,
    World,
    astages,
    build,
    config,
    stages,
    thread_of,
)


def rows_of(folder: Path) -> Snapshot:
    return snapshot_of(f"sqlite:///{folder / 'journal.db'}")


def failed(scene: Scene, decision: str) -> bool:
    """A workflow fails where a person says no; LangGraph keeps a failed step as it was."""
    return scene.kind == "workflow" and decision == "reject"


def check(scene: Scene, decision: str, folder: Path, *, thread: str, told: str, events: list[str]) -> None:
    assert World(folder).paid(thread) == PAID[decision]
    assert TOLD[decision] in told
    if decision == "edit" and scene.kind != "workflow":
        assert "reviewer replaced this tool call" in told
    mine = [
        row for row in snapshot_of(f"sqlite:///{folder / 'journal.db'}").approvals if row.thread == thread
    ]
    if scene.order != "alone":
        assert (events, mine) == ([], []), "the other one asks, and nobody is asked twice"
        return
    assert events == ["asked", decision]
    (row,) = mine
    assert row.decision == decision
    assert row.state == ("used" if PAID[decision] else "refused")


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_decision_has_its_one_effect(scene: Scene, tmp_path: Path) -> None:
    stage = build(scene, tmp_path, InMemorySaver())

    def run(given: Any, thread: str) -> Any:
        return stage.go(given, thread)

    async def go() -> None:
        async with stage.runtime:
            for decision in DECISIONS:
                paused = await stage.ago(stage.question(decision), decision)
                assert World(tmp_path).paid(decision) == [], "nothing is paid before the answer"
                done = await stage.ago(stage.answer(paused["__interrupt__"], decision, decision), decision)
                state = await stage.app.aget_state(config(decision))
                assert not state.interrupts or failed(scene, decision), "nobody is asked again"
                heard = {"told": stage.told(done), "events": stage.events(decision)}
                check(scene, decision, tmp_path, thread=decision, **heard)

    if scene.asynchronous:
        asyncio.run(go())
    else:
        with stage.runtime:
            for decision in DECISIONS:
                paused = run(stage.question(decision), decision)
                assert World(tmp_path).paid(decision) == [], "nothing is paid before the answer"
                done = run(stage.answer(paused["__interrupt__"], decision, decision), decision)
                state = stage.app.get_state(config(decision))
                assert not state.interrupts or failed(scene, decision), "nobody is asked again"
                heard = {"told": stage.told(done), "events": stage.events(decision)}
                check(scene, decision, tmp_path, thread=decision, **heard)
    assert verify(rows_of(tmp_path)) == ()


@pytest.mark.timeout(600)
def test_another_process_resumes_them_all(tmp_path: Path) -> None:
    asked: dict[str, list[str]] = {}
    with stages(tmp_path) as ready:
        for stage in ready:
            for decision in DECISIONS:
                thread = thread_of(stage, decision)
                assert stage.go(stage.question(thread), thread)["__interrupt__"]
                asked[thread] = stage.events(thread)

    async def others() -> None:
        async with astages(tmp_path) as ready:
            for stage in ready:
                for decision in DECISIONS:
                    thread = thread_of(stage, decision)
                    assert (await stage.ago(stage.question(thread), thread))["__interrupt__"]
                    asked[thread] = stage.events(thread)

    asyncio.run(others())
    root = Path(sf.__file__).parents[1]
    child = subprocess.run(
        [sys.executable, "-m", "specflow.testing.approval_scenes", str(tmp_path)],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert child.returncode == 0, child.stderr.decode()[-4000:]
    found = json.loads(child.stdout)
    assert len(found) == len(SCENES) * len(DECISIONS)
    for scene in SCENES:
        for decision in DECISIONS:
            thread = f"{scene.name}-{decision}"
            events = asked[thread] + found[thread]["events"]
            check(scene, decision, tmp_path, thread=thread, told=found[thread]["told"], events=events)
    assert verify(rows_of(tmp_path)) == ()
