"""What the scripted model says to one request."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from specflow.errors import ConfigurationError

Part = Literal["reasoning", "text", "calls"]
DEFAULT_ORDER: tuple[Part, ...] = ("reasoning", "text", "calls")

HttpShape = Literal["field", "inline"]
"""How reasoning travels over HTTP: `reasoning_content` beside the content, or `<think>` inside it."""


def amount(name: str, value: float | None, *, above_zero: bool = False) -> None:
    """Refuse a duration, count or pace that means nothing.

    Raises:
        ConfigurationError: naming `name`.
    """
    if value is None:
        return
    if math.isnan(value) or value < 0 or (above_zero and value == 0):
        least = "above 0" if above_zero else "0 or more"
        raise ConfigurationError(f"{name} must be {least}, not {value}", hint="or None for the default")


@dataclass(frozen=True, slots=True)
class CallPlan:
    """A tool call of a reply.

    `args` is a mapping, or JSON text that is sent as it stands (also broken, to see what the agent does).
    `fragments` says in how many pieces the arguments are streamed, or which pieces exactly; by default
    one token each. `id` is made from the positions of reply and call when empty.
    """

    name: str
    args: Mapping[str, Any] | str = field(default_factory=dict)
    fragments: int | tuple[str, ...] | None = field(default=None, kw_only=True)
    id: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if isinstance(self.fragments, int) and self.fragments < 1:
            raise ConfigurationError(f"{self.name}: fragments must be 1 or more, not {self.fragments}")
        if isinstance(self.fragments, tuple) and "".join(self.fragments) != self.args_text:
            raise ConfigurationError(
                f"{self.name}: the fragments joined are not the arguments {self.args_text}",
                hint="give args as the same JSON text",
            )

    @property
    def args_text(self) -> str:
        """The arguments as the text that travels."""
        return self.args if isinstance(self.args, str) else json.dumps(dict(self.args), ensure_ascii=False)

    def cut(self) -> list[str] | None:
        """The pieces asked for, or None for one token each."""
        if self.fragments is None:
            return None
        if isinstance(self.fragments, tuple):
            return list(self.fragments)
        size = max(1, math.ceil(len(self.args_text) / self.fragments))
        return [self.args_text[at : at + size] for at in range(0, len(self.args_text), size)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts to report instead of counted ones; None leaves a count as counted."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedError:
    """An HTTP error in OpenAI's shape. `retry_after` is seconds, sent as the header of that name."""

    status: int = 500
    message: str = "scripted error"
    type: str = "server_error"
    code: str | None = None
    retry_after: float | None = None

    def __post_init__(self) -> None:
        if not 400 <= self.status <= 599:
            raise ConfigurationError(f"an HTTP error has a status from 400 to 599, not {self.status}")
        amount("retry_after", self.retry_after)

    def body(self) -> dict[str, Any]:
        """The JSON body."""
        return {"error": {"message": self.message, "type": self.type, "param": None, "code": self.code}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer of the model.

    `order` is the order in which the parts are said. `reasoning_as` overrides how the server or model
    sends reasoning. `finish` is the finish reason ("" for `tool_calls` or `stop`).

    Time: `pace` is tokens a second (`math.inf` for no waiting), `first_token` seconds before the first
    token, `seconds` the whole time, over which the tokens are spread (it wins over `pace`). None
    takes the default of the server or model.

    Trouble: `error` answers with that HTTP error; `die_after` cuts the connection after so many tokens
    (together with `error`: the error is then sent inside the stream); `hang_after` falls silent after
    so many tokens and keeps the connection open.

    Raises:
        ConfigurationError: for amounts that mean nothing.
    """

    reasoning: str = ""
    text: str = ""
    calls: tuple[CallPlan, ...] = ()
    order: tuple[Part, ...] = DEFAULT_ORDER
    reasoning_as: HttpShape | None = None
    finish: str = ""
    usage: Usage = field(default_factory=Usage)
    error: ScriptedError | None = None
    die_after: int | None = None
    hang_after: int | None = None
    first_token: float | None = None
    pace: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        amount("pace", self.pace, above_zero=True)
        for name in ("die_after", "hang_after", "first_token", "seconds"):
            amount(name, getattr(self, name))
        if sorted(self.order) != sorted(DEFAULT_ORDER):
            raise ConfigurationError(f"order must hold each of {DEFAULT_ORDER} once, not {self.order}")
        if self.die_after is not None and self.hang_after is not None:
            raise ConfigurationError("a reply cannot both die and hang", hint="give one of the two")

    @property
    def finish_reason(self) -> str:
        """What the last chunk says."""
        return self.finish or ("tool_calls" if self.calls else "stop")


def call_id(plan: CallPlan, *, reply: int, position: int) -> str:
    """The id of a call: its own, or `call_<reply>_<position>`, both counted from 0."""
    return plan.id or f"call_{reply}_{position}"
