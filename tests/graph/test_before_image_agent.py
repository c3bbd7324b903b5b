"""An agent whose thoughts overwrite something early and whose message does not: it is as it was before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tools import tool
from pydantic import PrivateAttr

import specflow as sf
from specflow.lifecycle import Stage
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server.reply import CallPlan, Reply
from specflow.testing.scripted_core import EventLog

POLICY = """
version: 1
tools:
  get_room:
    effect: read_only
    reads: ["room:{args.room}"]
    rules:
      - {id: private, when: context.private == true, require: {speculate: hold}}
  set_room:
    effect: compensatable
    speculate: now
    min_confidence: 0.1
    predictors: [sniffer]
    writes: ["room:{args.room}"]
    compensate:
      before: {tool: get_room, with: {room: args.room}}
      tool: set_room
      with: {room: args.room, colour: before.colour}
      succeeded_when: result.done
"""
PONDER = "Hmm, let me think about that a little more. " * 20


def said(messages: list[dict[str, Any]]) -> Reply:
    """Thinks of one colour and then asks for another."""
    if messages[-1]["role"] == "tool":
        return Reply(text="done")
    return Reply(
        reasoning=f'I will call set_room with room "kitchen" and colour "green". {PONDER}',
        calls=(CallPlan("set_room", {"room": "kitchen", "colour": "white"}),),
    )


class Pondering(ScriptedChatModel):
    """Goes on thinking until the guess has been made, if there is one to wait for."""

    _guessed: asyncio.Event | None = PrivateAttr(default=None)

    async def _astream(self, *args: Any, **options: Any) -> AsyncIterator[ChatGenerationChunk]:
        heard = ""
        async for chunk in super()._astream(*args, **options):
            heard += str(chunk.message.additional_kwargs.get("reasoning_content", ""))
            if self._guessed is not None and len(heard) > 200:
                await asyncio.wait_for(self._guessed.wait(), 60)
            yield chunk


@pytest.mark.parametrize("private", [False, True])
async def test_a_wrong_guess_is_written_back(tmp_path: Path, private: bool) -> None:
    rooms = {"kitchen": "blue"}
    seen: list[str] = []
    painted = asyncio.Event()
    model = Pondering(script=said, delay=0.001)
    model._guessed = None if private else painted

    @tool
    async def get_room(room: str) -> dict[str, Any]:
        """The colour of a room."""
        seen.append(f"get {rooms[room]}")
        return {"colour": rooms[room], "size": 12}

    @tool
    async def set_room(room: str, colour: str) -> dict[str, Any]:
        """Paint a room in a colour."""
        await asyncio.sleep(0.01)
        seen.append(f"set {colour}")
        rooms[room] = colour
        painted.set()
        return {"done": True}

    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    url, log = f"sqlite:///{tmp_path}/journal.db", EventLog()
    tools = [get_room, set_room]
    with sf.Runtime(
        policy, tools=tools, journal=url, observers=[log], context={"private": private}, durability="process"
    ) as rt:
        agent = create_agent(model, tools, middleware=[rt.middleware()])
        answer = await agent.ainvoke({"messages": [{"role": "user", "content": "paint"}]})
        assert answer["messages"][-1].content == "done"
        rows = (await rt.journal.snapshot()).effects
    assert rooms == {"kitchen": "white"}
    if private:
        assert seen == ["set white"], "the host's context kept the read from running early, and so the write"
        return
    assert seen == ["get blue", "get blue", "set green", "set blue", "set white"]
    assert log.outcomes()["compensated"] == 1
    assert [(row.stage, row.before, row.comp_args) for row in rows] == [
        (Stage.COMPENSATED, {"colour": "blue"}, {"room": "kitchen", "colour": "blue"}),
        (Stage.COMMITTED, None, None),
    ]
