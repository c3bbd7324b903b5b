"""What the example programs share: a model for machines without a key, and an account of what ran early.

With OPENAI_API_KEY in the environment (and OPENAI_BASE_URL, OPENAI_MODEL for an endpoint of your own) the
same programs talk to a real model.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

import specflow as sf
from specflow.journal.event import CallEvent, EventKind
from specflow.testing.model_server import ModelServer
from specflow.testing.model_server.script import ScriptLike


@asynccontextmanager
async def a_model(script: ScriptLike, *, speed: float | None = 1.0) -> AsyncIterator[BaseChatModel]:
    """A chat model over HTTP: the real one if there is a key, else one that follows `script`."""
    if os.environ.get("OPENAI_API_KEY"):
        yield sf.ReasoningChatOpenAI(model=os.environ.get("OPENAI_MODEL", "gpt-5-mini"))
        return
    with ModelServer(script, speed=speed) as server:
        async with httpx.AsyncClient() as client:
            yield sf.ReasoningChatOpenAI(
                model="scripted",
                base_url=server.url,
                api_key=SecretStr("none"),
                max_retries=0,
                http_async_client=client,
            )


@dataclass(slots=True)
class Account:
    """An observer that keeps how calls were answered, and what was done for nothing."""

    answered: list[tuple[str, str]] = field(default_factory=list)
    """Tool and outcome of each real call: hit, late, miss, stale, or held where nothing may run early."""
    undone: list[str] = field(default_factory=list)
    """The tools that took something back."""
    cancelled: list[str] = field(default_factory=list)
    saved: float = 0.0
    """Seconds that were not waited for."""
    _undoing: dict[str, str] = field(default_factory=dict)

    def see(self, event: CallEvent) -> None:
        """Note one transition."""
        name = event.call.tool if event.call is not None else ""
        if event.kind is EventKind.CALL_ENDED and name:
            self.answered.append((name, event.outcome))
            self.saved += float(event.facts.get("saved", 0.0))
        elif event.kind is EventKind.COMPENSATION_STARTED and name:
            self._undoing[event.effect_id] = name
        elif event.kind is EventKind.COMPENSATION_ENDED and event.outcome == "compensated":
            self.undone.append(self._undoing.get(event.effect_id, event.effect_id))
        elif event.kind is EventKind.RESOLVED and event.outcome == "cancelled":
            self.cancelled.append(name)

    def hits(self) -> int:
        """Real calls whose result was there, or on its way."""
        return sum(outcome in {"hit", "late"} for _, outcome in self.answered)

    def __str__(self) -> str:
        lines = [f"  {outcome:<10} {tool}" for tool, outcome in self.answered]
        lines += [f"  {'undone by':<10} {tool}" for tool in self.undone]
        lines += [f"  {'cancelled':<10} {tool}" for tool in self.cancelled]
        return "\n".join(lines) or "  nothing ran early"


Serve = Callable[[BaseChatModel, Path, argparse.Namespace, Account], Awaitable[str]]
"""Runs the application: model, a folder for its files, the options, and who listens. Gives the answer."""


async def run(name: str, script: ScriptLike, serve: Serve) -> None:
    """The program: read the options, run the application once, and say how it went."""
    parser = argparse.ArgumentParser(prog=f"python -m examples.{name}")
    parser.add_argument("--sequential", action="store_true", help="as LangGraph runs it, to compare")
    parser.add_argument("--yes", action="store_true", help="answer every question with yes")
    parser.add_argument("--no", action="store_true", help="answer every question with no")
    parser.add_argument("--speed", type=float, default=1.0, help="of the scripted model and of the services")
    options = parser.parse_args()
    account = Account()
    with tempfile.TemporaryDirectory() as folder:
        async with a_model(script, speed=options.speed) as model:
            began = time.monotonic()
            answer = await serve(model, Path(folder), options, account)
            seconds = time.monotonic() - began
    print(answer)
    print(f"\n{'sequential' if options.sequential else 'with specflow'}: {seconds:.1f} s")
    if not options.sequential:
        print(account)


def answering(options: argparse.Namespace) -> Callable[[Any], dict[str, str]] | None:
    """Who answers questions: --yes, --no, or (None) whoever sits at the terminal."""
    if options.yes:
        return lambda _question: {"type": "approve"}
    if options.no:
        return lambda _question: {"type": "reject", "message": "the customer said no"}
    return None
