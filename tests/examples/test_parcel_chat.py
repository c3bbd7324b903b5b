"""The parcel example: what its early read owes to its policy, and what a replay says of it beforehand."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from specflow.journal.event import EventKind
from specflow.policy.load import loads
from specflow.prediction.sniffer import ReasoningSniffer
from specflow.replay.latency import latency
from specflow.replay.summary import Summary, replay_run
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.scripted_core import EventLog
from specflow.traces.recorded import read_runs

ROOT = Path(__file__).parents[2]
# It is run from the root of the repository, as `python -m examples.parcel_chat`.
sys.path.insert(0, str(ROOT))

from examples.parcel_chat import app  # noqa: E402 - needs the path above
from examples.parcel_chat.parcels import Parcels  # noqa: E402 - as above
from examples.parcel_chat.script import MESSAGES, script  # noqa: E402 - as above

RECORDED = ROOT / "examples" / "parcel_chat" / "recorded.jsonl"


@pytest.fixture(params=["thread", "session"])
def policy(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The scope, and the policy with it."""
    text = app.POLICY.read_text()
    assert text.count("scope: thread") == 1
    return request.param, text.replace("scope: thread", f"scope: {request.param}")


async def test_the_scope_is_what_lets_the_read_live_until_the_next_message(
    policy: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope, text = policy
    changed = tmp_path / "policy.yaml"
    changed.write_text(text)
    monkeypatch.setattr(app, "POLICY", changed)
    log, parcels = EventLog(), Parcels(pace=0)

    async def user_types() -> None:
        async with asyncio.timeout(90):
            while not log.of(EventKind.RUN_ENDED):
                await asyncio.sleep(0.01)

    await app.chat(
        MESSAGES,
        model=ScriptedChatModel(script=script, delay=0.01, speed=20),
        parcels=parcels,
        journal=f"sqlite:///{tmp_path}/journal.db",
        user_types=user_types,
        observers=[log],
    )
    lived_on = [event.kind for event in log.events if event.kind in {EventKind.KEPT, EventKind.CARRIED}]
    if scope == "thread":
        assert parcels.read == ["7731"]
        assert lived_on == [EventKind.KEPT, EventKind.CARRIED]
        assert [event.outcome for event in log.of(EventKind.CALL_ENDED)] == ["hit"]
    else:
        assert parcels.read == ["7731", "7731"]
        assert lived_on == []
        assert log.of(EventKind.RESOLVED)[0].cause == "run_ended"


def test_what_the_replay_of_its_recorded_runs_says(policy: tuple[str, str]) -> None:
    scope, text = policy
    found = Summary()
    for run in read_runs(RECORDED):
        replay_run(
            run,
            found,
            judge_for=lambda tools: loads(text, tools=tools),
            predictors=[ReasoningSniffer()],
            latency=latency("3s"),
            user_takes=20.0,
        )
    said = found.as_json()
    if scope == "thread":
        assert said["saved_seconds"] == pytest.approx(9.0)
        assert said["wasted_calls"] == 1
    else:
        assert said["saved_seconds"] == pytest.approx(0.0)
        assert said["misfires"]["too_early"] == 3
