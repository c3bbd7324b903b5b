"""Asking a person before a confirmation-required call: LangChain's own human-in-the-loop, call by call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from langchain.agents.middleware import HumanInTheLoopMiddleware, InterruptOnConfig
from langchain_core.messages import ToolMessage
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command, Interrupt

from specflow.effects.call import Call
from specflow.errors import RefusedError
from specflow.graph.compat import Heard, heard_interrupts, interrupted_by, raised
from specflow.graph.host import Host
from specflow.graph.questions import Questions
from specflow.graph.shown import Shown
from specflow.journal.approval import APPROVE, EDIT, REJECT, RESPOND, Consent

T = TypeVar("T")
Answer = ToolMessage | Command[Any]
Told = Callable[[str], None]
"""Is told `asked`, or the decision: approve, edit, reject, respond."""


async def _nothing() -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """What is asked about: `shown` makes the question (given why it is asked again, or nothing).

    `call` makes a call of arguments as they arrive, `identity` tells that very call. Both are of a tool
    that may be missing here (`request.tool` is None): then nobody can say yes. `read` gives what is to be
    shown besides; it is asked for once, when the question is first put.
    """

    request: ToolCallRequest
    told: Told
    shown: Callable[[str], Shown]
    call: Callable[[dict[str, Any]], Call]
    identity: Callable[[Call], str]
    read: Callable[[], Awaitable[str]] = _nothing


class Confirmer:
    """Interrupts before the call, in the standard format; runs what the person approved or edited.

    # INVARIANT: an answer counts for what it was given to, once. Where anything it was bound to has changed
    # since, nothing runs, and it is asked again.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self.questions = Questions(host.parts)

    async def awrap(
        self, matter: Matter, run: Callable[[ToolCallRequest, Consent], Awaitable[Answer]]
    ) -> Answer:
        """Ask, then run. Raises LangGraph's interrupt while there is no answer that counts."""
        again = ""
        while True:
            asking = _Asking(self.questions, matter, matter.shown(again))

            async def go(agreed: ToolCallRequest, asking: _Asking = asking) -> Answer:
                return await run(agreed, await asking.agreed(agreed))

            with heard_interrupts() as asking.heard:
                try:
                    answer = await asking.asker().awrap_tool_call(matter.request, go)
                except _AskAgainError as error:
                    again = str(error)
                    continue
                except BaseException as error:
                    if asking.approved or not raised(error):
                        raise
                    await asking.pause(raised(error))
                again = await asking.ended(answer)
            if not again:
                return answer

    def wrap(self, matter: Matter, run: Callable[[ToolCallRequest, Consent], Answer]) -> Answer:
        """The same for synchronous runs."""
        again = ""
        while True:
            asking = _Asking(self.questions, matter, matter.shown(again))

            def go(agreed: ToolCallRequest, asking: _Asking = asking) -> Answer:
                return run(agreed, self._wait(asking.agreed(agreed)))

            with heard_interrupts() as asking.heard:
                try:
                    answer = asking.asker().wrap_tool_call(matter.request, go)
                except _AskAgainError as error:
                    again = str(error)
                    continue
                except BaseException as error:
                    if asking.approved or not raised(error):
                        raise
                    self._wait(asking.pause(raised(error)))
                again = self._wait(asking.ended(answer))
            if not again:
                return answer

    async def waiting(self, name: str) -> bool:
        """Whether a person is being asked about the call of that name."""
        return bool(await self._host.parts.journal.open_approvals(name))

    def waiting_sync(self, name: str) -> bool:
        """The same for synchronous runs."""
        return self._wait(self.waiting(name))

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._host.background.run(lambda _caller: coroutine)


class _Asking:
    """One question, and one answer to it."""

    def __init__(self, questions: Questions, matter: Matter, shown: Shown) -> None:
        self._questions = questions
        self._matter = matter
        self._shown = shown
        self.heard = Heard()
        self.approved = False

    def asker(self) -> HumanInTheLoopMiddleware[Any, Any, Any]:
        """LangChain's own, for this one call."""
        ask: InterruptOnConfig = {
            "allowed_decisions": ["approve", "edit", "reject", "respond"],
            "description": self._shown.text(),
        }
        name = self._matter.request.tool_call["name"]
        return HumanInTheLoopMiddleware(interrupt_on={name: ask}, interrupt_mode="per_call")

    async def agreed(self, request: ToolCallRequest) -> Consent:
        """What the person's yes lets run; raises when it lets nothing run."""
        matter = self._matter
        if request.tool is None:
            # The answer is not kept, so that another one can be given.
            raise RefusedError(
                f"{request.tool_call['name']} was approved, and there is no such tool here",
                hint="was it renamed? bring it back under that name and resume again, or reject the call",
                tool=request.tool_call["name"],
            )
        self.heard.keep()
        same = request.tool_call["args"] == matter.request.tool_call["args"]
        decision = APPROVE if same else EDIT
        identity = matter.identity(matter.call(request.tool_call["args"]))
        why = await self._questions.uncovered(self._shown, self.heard.last, decision, identity)
        if why:
            raise _AskAgainError(why)
        self.approved = True
        matter.told(decision)
        return self._questions.consent(self._shown, self.heard.last, decision)

    async def pause(self, asked: tuple[Interrupt[Any], ...]) -> NoReturn:
        """Raises the interrupt, once it is on record."""
        self.heard.keep()
        raising, mine = await self._questions.put(self._shown, asked, self._matter.read)
        if mine:
            self._matter.told("asked")
        raise interrupted_by(raising)

    async def ended(self, answer: Answer) -> str:
        """After a no, or an answer in the tool's place: why it does not count, or nothing."""
        if self.approved:
            return ""
        self.heard.keep()
        success = isinstance(answer, ToolMessage) and answer.status == "success"
        decision = RESPOND if success else REJECT
        said = answer.text if isinstance(answer, ToolMessage) else ""
        why = await self._questions.refused(self._shown, self.heard.last, decision, said)
        if not why:
            self._matter.told(decision)
        return why


class _AskAgainError(Exception):
    """The answer does not count; the message says why."""
