"""What a client asked: checked as strictly as the real service does, and kept for the test to look at."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from specflow.testing.model_server.tokens import count_tokens

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


class BadRequestError(Exception):
    """A request that OpenAI's service would refuse with status 400; the message is its answer."""


class Answered(StrEnum):
    """How far the answer to a request got."""

    RUNNING = "running"
    FINISHED = "finished"
    ERROR = "error"
    DIED = "died"
    ABANDONED = "abandoned"
    CLOSED = "closed"


@dataclass(slots=True, kw_only=True)
class SeenRequest:
    """A chat request as it came in.

    `number` counts from 1 in order of arrival; `arrived` is on the server's monotonic clock, in seconds.
    `answered` says how the answer ended: finished, a scripted error, died (cut on purpose), abandoned
    (the client went away) or closed (the server was). A client that has read its whole answer finds it
    set; for the other endings `wait` first. No header is kept: they hold keys.
    """

    number: int
    arrived: float
    body: Mapping[str, Any]
    answered: Answered = Answered.RUNNING
    _done: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def model(self) -> str:
        return str(self.body.get("model", ""))

    @property
    def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.body["messages"]
        return found

    @property
    def stream(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def with_usage(self) -> bool:
        """Whether a streamed answer must end with a usage chunk."""
        options = self.body.get("stream_options")
        return isinstance(options, dict) and bool(options.get("include_usage"))

    @property
    def prompt_tokens(self) -> int:
        """The tokens of all texts and arguments of the messages."""
        return prompt_tokens(self.messages)

    def end(self, answered: Answered) -> None:
        """Say how the answer ended."""
        self.answered = answered
        self._done.set()

    def wait(self, timeout: float = 30.0) -> bool:
        """Wait up to `timeout` seconds until the answer has ended; whether it has."""
        return self._done.wait(timeout)


def parse(data: bytes) -> dict[str, Any]:
    """The body of a chat request.

    Raises:
        BadRequestError: when it is not one, or its tool messages do not answer the calls before them.
    """
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadRequestError("the body must be a JSON object")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise BadRequestError("you must provide a model parameter")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequestError("'messages' must be a list with at least one message")
    for at, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise BadRequestError(f"messages[{at}] needs a role out of {', '.join(sorted(ROLES))}")
    _check_answers(messages)
    return body


def _check_answers(messages: Sequence[Mapping[str, Any]]) -> None:
    waiting: set[object] = set()
    for at, message in enumerate(messages):
        role = message["role"]
        if role == "tool":
            if message.get("tool_call_id") not in waiting:
                raise BadRequestError(
                    f"messages[{at}]: a message with role 'tool' must answer a preceding call in 'tool_calls'"
                )
            waiting.discard(message.get("tool_call_id"))
            continue
        if waiting:
            break
        waiting = {call_key(call) for call in calls_of(message)}
    if waiting:
        raise BadRequestError(
            "an assistant message with 'tool_calls' must be followed by tool messages answering each "
            f"'tool_call_id'; no answer for: {', '.join(sorted(map(str, waiting)))}"
        )


def calls_of(message: Mapping[str, Any]) -> list[Any]:
    """The calls of an assistant message; empty for any other."""
    calls = message.get("tool_calls") if message.get("role") == "assistant" else None
    return calls if isinstance(calls, list) else []


def call_key(call: object) -> str:
    """The id of a call, or the empty text where there is none."""
    identity = call.get("id") if isinstance(call, dict) else None
    return identity if isinstance(identity, str) else ""


def text_of(content: object) -> str:
    """The text of a content: itself, or its text parts joined."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part.get("text") if isinstance(part, dict) else part for part in content)
    return "".join(part for part in parts if isinstance(part, str))


def function_of(call: object) -> tuple[str, str]:
    """Name and argument text of a call."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return "", ""
    return str(function.get("name", "")), str(function.get("arguments", ""))


def prompt_tokens(messages: Sequence[Mapping[str, Any]]) -> int:
    """The tokens of all texts, names and arguments in `messages`."""
    return sum(count_tokens(text) for message in messages for text in _texts(message))


def _texts(message: Mapping[str, Any]) -> list[str]:
    called = [text for call in calls_of(message) for text in function_of(call)]
    return [text_of(message.get("content")), *called]
