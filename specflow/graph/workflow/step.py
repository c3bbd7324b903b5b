"""The steps of a workflow, as declared: what each takes, when it runs, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool

from specflow.graph.workflow.reference import EACH, STATE, Reference, needs
from specflow.graph.workflow.shape import UNKNOWN, Shape


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """What every step has. `takes` are its arguments, literals and references; `conditions` must all hold,
    `after` are steps that must be over first although nothing is taken from them. `into` is a field of the
    workflow's state that gets the result.
    """

    name: str
    takes: Mapping[str, Any] = field(default_factory=dict)
    conditions: tuple[Reference, ...] = ()
    after: tuple[str, ...] = ()
    into: str = ""
    shape: Shape = UNKNOWN

    kind = "step"

    @property
    def needs(self) -> frozenset[str]:
        """The names of the steps that must be over before this one can run."""
        return (needs(self.given()) | set(self.after)) - {STATE, EACH}

    def given(self) -> list[Any]:
        """Everything in which a reference may stand."""
        return [dict(self.takes), list(self.conditions)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CallStep(Step):
    """One call of a tool."""

    tool: BaseTool

    kind = "call"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MapStep(Step):
    """A call of a tool for every item of a list; `at_once` of them side by side."""

    tool: BaseTool
    over: Any
    at_once: int = 4

    kind = "map"

    def given(self) -> list[Any]:
        return [*Step.given(self), self.over]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AgentStep(Step):
    """A model with tools that works until it has an answer. `output` None: its answer is text."""

    model: str | BaseChatModel
    tools: tuple[BaseTool, ...] = ()
    prompt: Any = ""
    system: str = ""
    output: Any = None
    middleware: Sequence[Any] = ()

    kind = "agent"

    def given(self) -> list[Any]:
        return [*Step.given(self), self.prompt]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlainStep(Step):
    """An ordinary function: it computes, and changes nothing outside."""

    function: Callable[..., Any]

    kind = "plain"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HumanStep(Step):
    """A question to a person: the run stops until somebody answers."""

    question: str
    output: Any = None

    kind = "human"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FlowStep(Step):
    """Another workflow as one step; `takes` are the fields of its state."""

    flow: Any

    kind = "flow"
