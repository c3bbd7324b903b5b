"""Paused runs answered: `confirm` and `aconfirm`, at a terminal or by a function."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, Interrupt
from pydantic import ValidationError

from specflow.errors import ConfigurationError
from specflow.graph.compat import is_wrong_answer
from specflow.graph.person.dialogue import talk
from specflow.graph.person.question import Question, Redact, answer_to, questions
from specflow.graph.reached import reached
from specflow.terminal import read_line, readable

Ask = Callable[[Question], Any]
"""Answers a question instead of the terminal: a decision about a call, or the value that is asked for."""


def confirm(
    app: Any,
    result: Any = None,
    config: Mapping[str, Any] | None = None,
    *,
    ask: Ask | None = None,
    **options: Any,
) -> Any:
    """Ask the person at the terminal whatever the paused run asks, resume it, until it ends: its result.

    `result` is what `invoke` returned; None looks into the checkpoint, for a run that was paused in another
    process. Questions are those of LangChain's human-in-the-loop middleware (of each call, or batched), of
    human steps of a workflow, and of any other `interrupt`. All that are pending are asked, then the run is
    resumed once, each by its id. `ask` is asked instead of the terminal. `options` go to `invoke`. What
    the policy redacts is not shown. Whoever presses Ctrl-C leaves the run paused.

    Raises:
        ConfigurationError: nobody can be asked (no terminal, or its input has ended), `app` is no
            compiled graph, `config` names no run, or `ask` gave an answer that does not fit.
    """
    if inspect.iscoroutinefunction(ask):
        raise ConfigurationError("ask is a coroutine function", hint="use aconfirm")
    conversation = _Conversation(app, config, ask)
    pending = conversation.pending(result, lambda: app.get_state(config))
    while pending:
        answers = {}
        for number, interrupt in enumerate(pending, 1):
            asked = conversation.of(interrupt, number, len(pending))
            given = [_asked(question, ask) for question in asked]
            answers[interrupt.id] = answer_to(interrupt, given)
        try:
            result = app.invoke(Command(resume=answers), config, **options)
        except ValidationError as error:
            conversation.wrong(error)
            # Answers that did fit may have been taken: what is pending now is asked again, and nothing else.
            pending = tuple(app.get_state(config).interrupts)
        else:
            pending = _interrupts(result)
    return conversation.final(result)


async def aconfirm(
    app: Any,
    result: Any = None,
    config: Mapping[str, Any] | None = None,
    *,
    ask: Ask | None = None,
    **options: Any,
) -> Any:
    """`confirm` for asynchronous programs; `ask` may be a coroutine function. The loop goes on meanwhile.

    Raises:
        ConfigurationError: as `confirm`.
    """
    conversation = _Conversation(app, config, ask)
    state = await app.aget_state(config) if result is None else None
    pending = conversation.pending(result, lambda: state)
    while pending:
        answers = {}
        for number, interrupt in enumerate(pending, 1):
            given = [
                await _aasked(question, ask) for question in conversation.of(interrupt, number, len(pending))
            ]
            answers[interrupt.id] = answer_to(interrupt, given)
        try:
            result = await app.ainvoke(Command(resume=answers), config, **options)
        except ValidationError as error:
            conversation.wrong(error)
            pending = tuple((await app.aget_state(config)).interrupts)
        else:
            pending = _interrupts(result)
    return conversation.final(result)


class _Conversation:
    """What both kinds of run share: who is asked, about what, and what is hidden."""

    def __init__(self, app: Any, config: Mapping[str, Any] | None, ask: Ask | None) -> None:
        if not isinstance(app, CompiledStateGraph):
            raise ConfigurationError(
                f"confirm: {type(app).__name__} is no compiled graph",
                hint="give what compile() or create_agent returned",
            )
        if not (config or {}).get("configurable", {}).get("thread_id"):
            raise ConfigurationError(
                "confirm: config does not say which run is paused",
                hint='config={"configurable": {"thread_id": ...}}, as given to invoke',
            )
        self._ask = ask
        self._redact = _redacting(app)
        self._left: Any = None

    def pending(self, result: Any, state: Callable[[], Any]) -> tuple[Interrupt[Any], ...]:
        """What is waited for; with no result, by the checkpoint."""
        if result is not None:
            found = _interrupts(result)
        else:
            now = state()
            found, self._left = tuple(now.interrupts), now.values
        if found and self._ask is None:
            _must_be_a_terminal()
        return found

    def of(self, interrupt: Interrupt[Any], number: int, count: int) -> Sequence[Question]:
        """The questions of one interrupt."""
        if self._ask is None and count > 1:
            _write(f"Question {number} of {count}\n")
        return questions(interrupt, self._redact)

    def wrong(self, error: ValidationError) -> None:
        """LangGraph did not take the answers: a person is asked again, a program is told."""
        if not is_wrong_answer(error):
            raise error
        if self._ask is not None:
            raise ConfigurationError(f"ask gave an answer that does not fit: {_said(error)}") from error
        _write(f"  {readable(_said(error))}\n")

    def final(self, result: Any) -> Any:
        """What the run ended with."""
        return self._left if result is None else result


def _redacting(app: Any) -> Redact:
    """What any runtime that the graph reaches hides of a tool's arguments."""
    hosts = reached(app).hosts

    def paths(tool: str) -> Sequence[str]:
        found: list[str] = []
        for host in hosts:
            spec = host.parts.registry.get(tool)
            if spec is not None:
                found += host.parts.judge.settings(spec).redact
        return found

    return paths


def _interrupts(result: Any) -> tuple[Interrupt[Any], ...]:
    found = (
        result.get("__interrupt__") if isinstance(result, Mapping) else getattr(result, "interrupts", None)
    )
    return tuple(found or ())


def _must_be_a_terminal() -> None:
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "there is no terminal to ask at; the run stays paused",
            hint="give ask=, or resume it with Command(resume={id: decision})",
        )


def _asked(question: Question, ask: Ask | None) -> Any:
    if ask is not None:
        return _checked(question, ask(question))
    talking = talk(question)
    prompt = next(talking)
    while True:
        _write(prompt)
        try:
            prompt = talking.send(_line(sys.stdin.readline()))
        except StopIteration as end:
            return end.value


async def _aasked(question: Question, ask: Ask | None) -> Any:
    if ask is not None:
        given = ask(question)
        return _checked(question, await given if inspect.isawaitable(given) else given)
    talking = talk(question)
    prompt = next(talking)
    while True:
        _write(prompt)
        try:
            prompt = talking.send(_line(await read_line()))
        except StopIteration as end:
            return end.value


def _checked(question: Question, answer: Any) -> Any:
    problems = question.problems(answer)
    if problems:
        raise ConfigurationError(f"ask gave an answer that does not fit: {'; '.join(problems)}")
    return answer


def _line(text: str) -> str:
    if not text:
        raise ConfigurationError("the terminal's input has ended; the run stays paused")
    return text


def _write(text: str) -> None:
    """To the person, not into what the program prints."""
    sys.stderr.write(text)
    sys.stderr.flush()


def _said(error: ValidationError) -> str:
    """What is wrong with the answer, without the answer: it may hold what nobody may see."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, item['loc'])) or 'the answer'}: {item['msg']}" for item in found)
