"""What a paused run asks: one question for each decision that somebody has to make."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jsonschema
from langgraph.types import Interrupt
from referencing import Registry

from specflow.effects.call import NotJsonError
from specflow.effects.redaction import HIDDEN, Hidden, hide
from specflow.graph.again import asking, beginning
from specflow.graph.shown import READ
from specflow.journal.approval import DECISIONS

_NOTHING_TO_FETCH: Registry[Any] = Registry()

Redact = Callable[[str], Sequence[str]]
"""Paths of a tool's arguments that nobody is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One decision that is asked for.

    A question about a call (`tool` is its name) is answered with one of `decisions`, in LangChain's
    human-in-the-loop format; `args` are shown, with `[redacted]` where the policy hides something. Any
    other question has a `text`, perhaps more to `show`, and is answered with a value. `schema` is the JSON
    Schema of the answer, None where nothing is said.
    """

    text: str
    tool: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)
    decisions: tuple[str, ...] = ()
    show: Any = None
    schema: Mapping[str, Any] | None = None
    _whole: Mapping[str, Any] = field(default_factory=dict, repr=False)
    _hidden: Hidden | None = field(default=None, repr=False)

    def edit(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The decision to run the call with these arguments instead; those left out stay as they are.

        What is `[redacted]` where something is hidden stays as it is, too.
        """
        whole = {**self._whole, **copy.deepcopy(dict(changes))}
        for place, value in zip(
            self._hidden.places if self._hidden else (),
            self._hidden.values if self._hidden else (),
            strict=True,
        ):
            _put_back(whole, place, value)
        return {"type": "edit", "edited_action": {"name": self.tool, "args": whole}}

    def problems(self, answer: Any) -> tuple[str, ...]:
        """Why the answer does not fit, a line each; nothing of what is hidden is in them."""
        if self.tool and (not isinstance(answer, Mapping) or answer.get("type") not in self.decisions):
            return (f"the decision must be one of: {', '.join(self.decisions)}",)
        schema = self.schema
        if schema is None:
            return ()
        if self.tool:
            schema = branch(schema, str(answer["type"]))
        check = jsonschema.Draft202012Validator(schema, registry=_NOTHING_TO_FETCH)
        try:
            return tuple(self._told(error) for error in check.iter_errors(answer))
        except Exception:  # noqa: BLE001 - a schema that cannot be evaluated: LangGraph has the last word
            return ()

    def _told(self, error: jsonschema.ValidationError) -> str:
        path = [str(step) for step in error.absolute_path]
        if path[:2] == ["edited_action", "args"]:
            path = path[2:]
        where = ".".join(path) or ("arguments" if self.tool else "the answer")
        # The usual message quotes the value, which may be one that nobody may see.
        hidden = self._hidden is not None and bool(self._hidden.places)
        return (
            f"{where}: does not fit {error.validator}: {error.validator_value}"
            if hidden
            else f"{where}: {error.message}"
        )


def questions(interrupt: Interrupt[Any], redact: Redact) -> tuple[Question, ...]:
    """What one interrupt asks: a call, several calls (`interrupt_mode="batched"`), or something else."""
    value = interrupt.value
    schema = interrupt.response_schema if isinstance(interrupt.response_schema, Mapping) else None
    if is_batch(value):
        allowed = {item["action_name"]: item["allowed_decisions"] for item in value["review_configs"]}
        return tuple(
            _about_call(item, allowed.get(item["name"], DECISIONS), None, redact)
            for item in value["action_requests"]
        )
    if isinstance(value, Mapping) and value.get("type") == "tool_approval":
        return (_about_call(value, decisions_in(schema), schema, redact),)
    if isinstance(value, Mapping) and isinstance(value.get("question"), str):
        name = str(value.get("step") or "")
        text = f"{name}: {value['question']}" if name else value["question"]
        return (Question(text=text, show=value.get("show") or None, schema=schema),)
    if isinstance(value, str):
        return (Question(text=value, schema=schema),)
    return (Question(text="The run waits for an answer.", show=value, schema=schema),)


def answer_to(interrupt: Interrupt[Any], answers: Sequence[Any]) -> Any:
    """What the interrupt is resumed with."""
    return {"decisions": list(answers)} if is_batch(interrupt.value) else answers[0]


def is_batch(value: object) -> bool:
    """Whether one interrupt asks about several calls at once."""
    return isinstance(value, Mapping) and {"action_requests", "review_configs"} <= value.keys()


def decisions_in(schema: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The decisions that a response schema allows; all four where it does not say."""
    if schema is None:
        return DECISIONS
    said = [_constant(one) for one in _branches(schema)]
    return tuple(name for name in DECISIONS if name in said) or DECISIONS


def branch(schema: Mapping[str, Any], decision: str) -> Mapping[str, Any]:
    """The part of a response schema that is about one decision: errors then say what is wrong with it."""
    for one in _branches(schema):
        if _constant(one) == decision:
            return {**one, "$defs": schema.get("$defs") or {}}
    return schema


def _branches(schema: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    definitions = schema.get("$defs") or {}
    for one in schema.get("oneOf") or schema.get("anyOf") or [schema]:
        name = str(one.get("$ref", "")).removeprefix("#/$defs/")
        yield definitions.get(name, one)


def _constant(schema: Mapping[str, Any]) -> Any:
    kind = (schema.get("properties") or {}).get("type") or {}
    return kind.get("const")


def _about_call(
    asked: Mapping[str, Any], decisions: Iterable[str], schema: Mapping[str, Any] | None, redact: Redact
) -> Question:
    name, args = str(asked["name"]), dict(asked.get("args") or {})
    # What was sent along as text may hold the arguments: only what stands before them is shown, and that
    # only where nothing is hidden.
    said = str(asked.get("description") or "").partition("\n\nTool: ")[0]
    text = said or asking(name)
    hidden: Hidden | None = None
    paths = redact(name)
    if paths:
        try:
            hidden = hide("args", json.loads(json.dumps(args)), paths)
        except (TypeError, ValueError, NotJsonError):
            hidden = Hidden(shown=HIDDEN, places=((),), values=(args,))
    if hidden is not None and hidden.places:
        # What was read for the question has been redacted as its own tool's result.
        _, mark, read = said.partition(READ)
        text = f"{beginning(name, said)}{mark}{read}"
        shown = hidden.shown if isinstance(hidden.shown, Mapping) else dict.fromkeys(args, HIDDEN)
        if shown is not hidden.shown:
            hidden = Hidden(shown=shown, places=tuple((key,) for key in args), values=tuple(args.values()))
    else:
        shown = args
    return Question(
        text=text,
        tool=name,
        args=shown,
        decisions=tuple(item for item in DECISIONS if item in set(decisions)),
        schema=schema,
        _whole=args,
        _hidden=hidden,
    )


def _put_back(whole: dict[str, Any], place: Sequence[Any], value: Any) -> None:
    """The hidden value, where its mark still stands at its place."""
    holder: Any = whole
    try:
        for step in place[:-1]:
            holder = holder[step]
        if holder[place[-1]] == HIDDEN:
            holder[place[-1]] = value
    except (KeyError, IndexError, TypeError):
        return
