"""Scripts: which reply a message list gets. Stateless, so that many agents can talk at the same time."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from specflow.effects.call import digest
from specflow.errors import ConfigurationError
from specflow.testing.model_server.reply import Reply, ScriptedError

Messages = Sequence[Mapping[str, Any]]
"""A conversation as it travels: OpenAI's message objects."""


@runtime_checkable
class Script(Protocol):
    """Decides what the model says."""

    def reply_to(self, messages: Messages) -> Reply:
        """The reply to this conversation."""
        ...

    def differences(self, messages: Messages) -> Sequence[str]:
        """What in this conversation is not what the script expects, a line each; usually nothing."""
        ...


ScriptLike = Script | Callable[[Messages], Reply] | Sequence[Reply]
"""A script, a function that gives the reply, or the replies of a conversation in order."""


def replies_given(messages: Messages) -> int:
    """The number of assistant messages: the index of the reply that comes next."""
    return sum(message.get("role") == "assistant" for message in messages)


class ReplyList:
    """The replies of a conversation in order. A retry gets the same reply again."""

    def __init__(self, replies: Sequence[Reply]) -> None:
        self._replies = tuple(replies)

    def reply_to(self, messages: Messages) -> Reply:
        number = replies_given(messages)
        if number < len(self._replies):
            return self._replies[number]
        message = f"the script has {len(self._replies)} replies, this request asks for number {number + 1}"
        # 400: clients repeat a 500 by themselves, and would only get it again.
        return Reply(
            error=ScriptedError(
                status=400, message=message, type="invalid_request_error", code="script_exhausted"
            )
        )

    def differences(self, messages: Messages) -> Sequence[str]:
        return ()


class _Function:
    def __init__(self, function: Callable[[Messages], Reply]) -> None:
        self._function = function

    def reply_to(self, messages: Messages) -> Reply:
        reply = self._function(messages)
        if not isinstance(reply, Reply):
            raise ConfigurationError(f"a script function must return a Reply, not {type(reply).__name__}")
        return reply

    def differences(self, messages: Messages) -> Sequence[str]:
        return ()


class _FirstTimes:
    def __init__(self, script: Script, trouble: Reply, times: int) -> None:
        self._script = script
        self._trouble = trouble
        self._times = times
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    def reply_to(self, messages: Messages) -> Reply:
        key = digest(json.dumps(list(messages), sort_keys=True, default=str))
        with self._lock:
            self._seen[key] += 1
            troubled = self._seen[key] <= self._times
        return self._trouble if troubled else self._script.reply_to(messages)

    def differences(self, messages: Messages) -> Sequence[str]:
        return self._script.differences(messages)


def first_times(script: ScriptLike, trouble: Reply, *, times: int = 1) -> Script:
    """`script`, but the first `times` requests with the same messages get `trouble` (an error, a cut)."""
    return _FirstTimes(as_script(script), trouble, times)


def as_script(script: ScriptLike) -> Script:
    """A script object for whatever was given.

    Raises:
        ConfigurationError: for anything that cannot be a script.
    """
    if isinstance(script, Script):
        return script
    if callable(script):
        return _Function(script)
    given: object = script
    if isinstance(given, Sequence) and all(isinstance(reply, Reply) for reply in given):
        return ReplyList(given)
    raise ConfigurationError(
        f"not a script: {type(script).__name__}", hint="give a list of Reply, a function, or a Script"
    )
