"""The kinds of value a policy file holds: names, durations, expressions, and what each may look like."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from specflow.policy.condition import Cel
from specflow.policy.duration import seconds
from specflow.policy.mapping import check_template

ON_CALL = frozenset({"args", "context"})
ON_RESULT = frozenset({"args", "result", "key"})
ON_KEY = frozenset({"args", "key"})
ON_ARGS = frozenset({"args"})
ON_UNDO = ON_RESULT | {"before"}
ON_PATCHED = frozenset({"args", "result", "patched"})

_TOOL_NAME = re.compile(r"[^\s\x00-\x1f]{1,200}")
_RULE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_REDACT = re.compile(r"(?:args|result)(?:\.(?:[^.\s]+))+")


def _compiled(value: object, allowed: frozenset[str]) -> Cel:
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(value, str):
        raise ValueError("must be an expression in quotes")  # noqa: TRY004 - pydantic reports it
    return Cel(value, allowed)


def _over(allowed: frozenset[str]) -> WithJsonSchema:
    about = f"CEL over {', '.join(sorted(allowed))}"
    return WithJsonSchema({"type": "string", "minLength": 1, "description": about})


def _matching(pattern: re.Pattern[str], message: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(message)
        return value

    return AfterValidator(check)


def one(value: object) -> object:
    """The value, so that nothing but a whole number can equal 1."""
    # True and 1.0 equal 1, and are something else.
    return value if type(value) is int or not isinstance(value, int | float) else str(value).lower()


def _pattern(value: str) -> str:
    if value.count("*") > 3:
        raise ValueError("a tool name may hold at most three *")
    return value


Condition = Annotated[Cel, BeforeValidator(partial(_compiled, allowed=ON_CALL)), _over(ON_CALL)]
OnResult = Annotated[Cel, BeforeValidator(partial(_compiled, allowed=ON_RESULT)), _over(ON_RESULT)]
OnKey = Annotated[Cel, BeforeValidator(partial(_compiled, allowed=ON_KEY)), _over(ON_KEY)]
OnArgs = Annotated[Cel, BeforeValidator(partial(_compiled, allowed=ON_ARGS)), _over(ON_ARGS)]
OnPatched = Annotated[Cel, BeforeValidator(partial(_compiled, allowed=ON_PATCHED)), _over(ON_PATCHED)]
OnUndo = Annotated[Cel, BeforeValidator(partial(_compiled, allowed=ON_UNDO)), _over(ON_UNDO)]
Duration = Annotated[
    float,
    BeforeValidator(seconds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^\d{1,9}(\.\d{1,6})?(ms|s|m|h|d)$"},
                {"type": "number", "exclusiveMinimum": 0},
            ],
            "description": "200ms, 10s, 5m, 24h, 7d, or a number of seconds",
        }
    ),
]
ToolName = Annotated[str, _matching(_TOOL_NAME, "must be the name of a tool, without spaces")]
ToolPattern = Annotated[ToolName, AfterValidator(_pattern)]
RuleId = Annotated[str, _matching(_RULE_ID, "must be letters, digits, dots, dashes and underscores")]
Redacted = Annotated[str, _matching(_REDACT, "must be a path such as args.card.number or result.token")]
Template = Annotated[str, AfterValidator(check_template)]
SchemaHash = Annotated[
    str, _matching(re.compile(r"[0-9a-f]{64}"), "must be the 64 hex digits of the tool's schema")
]
Probability = Annotated[float, Field(ge=0, le=1)]
Money = Annotated[float, Field(ge=0, le=1e12)]
Count = Annotated[int, Field(ge=1, le=100_000)]
Bytes = Annotated[int, Field(ge=1, le=1 << 40)]
Effect = Literal["read_only", "compensatable", "confirmation_required", "deny"]
When = Literal["now", "hold", "never"]
Form = Literal["upper", "lower", "strip", "iso_date", "number"]
