"""A workflow being declared: its steps as they are written, and what they take from each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel

from specflow.errors import ConfigurationError
from specflow.graph.tools import ToolLike, as_tool
from specflow.graph.workflow.choice import Choice, condition_of
from specflow.graph.workflow.expression import Root
from specflow.graph.workflow.reference import EACH, STATE, Reference, either, needs, text_of
from specflow.graph.workflow.returned import result_shape, returns, within
from specflow.graph.workflow.shape import UNKNOWN, Shape
from specflow.graph.workflow.step import (
    AgentStep,
    CallStep,
    FlowStep,
    HumanStep,
    MapStep,
    PlainStep,
    Step,
)

S = TypeVar("S", bound=Step)
ON_FAILURE = ("keep", "compensate")
BEGIN, FINISH = "begin", "finish"
"""The nodes before the first step and after the last."""

RESERVED = frozenset({STATE, EACH, BEGIN, FINISH})


class Declared:
    """The declaration of a workflow. Every step method returns a reference to what the step will leave."""

    def __init__(self, name: str, *, state: Any = None, on_failure: str = "keep") -> None:
        if on_failure not in ON_FAILURE:
            raise ConfigurationError(
                f"on_failure={on_failure!r} is not known", hint=f"one of: {', '.join(ON_FAILURE)}"
            )
        self.name = name
        self.state_type = state
        self.on_failure = on_failure
        self.steps: dict[str, Step] = {}
        self._state_shape = (
            Shape.of(state) if state is not None else Shape({"type": "object", "properties": {}})
        )
        self._conditions: list[Reference] = []

    @property
    def state(self) -> Any:
        """A reference to the workflow's own state: what it is started with."""
        return Reference(Root(name=STATE, shape=self._state_shape))

    @property
    def each(self) -> Any:
        """Within the arguments of `map`: the item of the list."""
        return Reference(Root(name=EACH))

    # ------------------------------------------------------------------ steps

    def call(
        self,
        name: str,
        tool: ToolLike,
        /,
        *,
        when: Any = None,
        after: Any = (),
        into: str = "",
        args: Mapping[str, Any] | None = None,
        **takes: Any,
    ) -> Any:
        """One call of a tool with these arguments; `args` for parameters whose names are taken here."""
        made = as_tool(tool)
        given = {**(args or {}), **takes}
        return self._add(
            CallStep(
                name=name,
                tool=made,
                takes=given,
                conditions=self._all(when),
                after=self._names(after),
                into=into,
                shape=result_shape(made),
            )
        )

    def map(
        self,
        name: str,
        tool: ToolLike,
        /,
        *,
        over: Any,
        at_once: int = 4,
        when: Any = None,
        after: Any = (),
        into: str = "",
        args: Mapping[str, Any] | None = None,
        **takes: Any,
    ) -> Any:
        """A call for every item of `over`, `at_once` of them side by side; the results in the same order."""
        if at_once < 1:
            raise ConfigurationError(f"{name}: at_once={at_once} would never begin", hint="1 or more")
        made = as_tool(tool)
        one = result_shape(made)
        return self._add(
            MapStep(
                name=name,
                tool=made,
                over=over,
                at_once=at_once,
                takes={**(args or {}), **takes},
                conditions=self._all(when),
                after=self._names(after),
                into=into,
                shape=Shape({"type": "array", "items": one.schema}, one.root),
            )
        )

    def agent(
        self,
        name: str,
        *,
        model: str | BaseChatModel,
        tools: Sequence[ToolLike] = (),
        prompt: Any = "",
        given: Any = (),
        output: Any = None,
        system: str = "",
        middleware: Sequence[Any] = (),
        when: Any = None,
        after: Any = (),
        into: str = "",
    ) -> Any:
        """A model with tools that works until it has an answer of type `output`; text without one.

        It is told `prompt`, and what `given` refers to. Without a prompt it is told the `messages` of the
        state, where it has them, or all of the state.
        """
        shown = dict(given) if isinstance(given, Mapping) else {text_of(item): item for item in given}
        return self._add(
            AgentStep(
                name=name,
                model=model,
                tools=tuple(as_tool(tool) for tool in tools),
                prompt=prompt,
                takes=shown,
                output=output,
                system=system,
                middleware=tuple(middleware),
                conditions=self._all(when),
                after=self._names(after),
                into=into,
                shape=Shape({"type": "string"}) if output is None else Shape.of(output),
            )
        )

    def step(
        self,
        name: str,
        function: Callable[..., Any],
        /,
        *,
        when: Any = None,
        after: Any = (),
        into: str = "",
        args: Mapping[str, Any] | None = None,
        **takes: Any,
    ) -> Any:
        """An ordinary function, synchronous or not. It may run more than once: it changes nothing outside."""
        if not callable(function):
            raise ConfigurationError(f"{name}: {function!r} cannot be called", hint="give a function")
        return self._add(
            PlainStep(
                name=name,
                function=function,
                takes={**(args or {}), **takes},
                conditions=self._all(when),
                after=self._names(after),
                into=into,
                shape=returns(function),
            )
        )

    def human(
        self,
        name: str,
        question: str,
        *,
        show: Mapping[str, Any] | None = None,
        output: Any = None,
        when: Any = None,
        after: Any = (),
        into: str = "",
    ) -> Any:
        """A question to a person, with what `show` refers to. The run stops until somebody answers."""
        return self._add(
            HumanStep(
                name=name,
                question=question,
                takes=dict(show or {}),
                output=output,
                conditions=self._all(when),
                after=self._names(after),
                into=into,
                shape=UNKNOWN if output is None else Shape.of(output),
            )
        )

    def flow(
        self,
        name: str,
        other: Declared,
        /,
        *,
        when: Any = None,
        after: Any = (),
        into: str = "",
        args: Mapping[str, Any] | None = None,
        **takes: Any,
    ) -> Any:
        """Another workflow as one step, started with the arguments; it leaves the results of its steps."""
        if other is self:
            raise ConfigurationError(f"{name}: a workflow cannot be a step of itself")
        fields = {step.name: within(step.shape) for step in other.steps.values()}
        return self._add(
            FlowStep(
                name=name,
                flow=other,
                takes={**(args or {}), **takes},
                conditions=self._all(when),
                after=self._names(after),
                into=into,
                shape=Shape({"type": "object", "properties": fields}) if fields else UNKNOWN,
            )
        )

    # ------------------------------------------------------------------ branches

    @contextmanager
    def when(self, condition: Any) -> Iterator[Choice]:
        """Steps declared inside run when it holds. What takes from a step that did not run is skipped."""
        self._conditions.append(condition_of("when", condition))
        try:
            yield Choice(self.when, condition)
        finally:
            self._conditions.pop()

    @staticmethod
    def either(*options: Any) -> Any:
        """The first of these whose step was not skipped; the last may be a plain value."""
        return either(*options)

    # ------------------------------------------------------------------ what was declared

    def order(self) -> tuple[Step, ...]:
        """The steps, each after all that it needs: as they were written, since there is no other way."""
        return tuple(self.steps.values())

    def _add(self, step: S) -> Any:
        if not step.name.isidentifier() or step.name in RESERVED or step.name.startswith("_"):
            raise ConfigurationError(
                f"a step cannot be called {step.name!r}",
                hint=f"a Python name, and none of: {', '.join(sorted(RESERVED))}",
            )
        if step.name in self.steps:
            raise ConfigurationError(f"two steps are called {step.name!r}", hint="rename one of them")
        if step.into and self._state_shape.field(step.into) is None:
            raise ConfigurationError(f"{step.name}: the state has no field {step.into!r} for its result")
        for name in sorted(step.needs):
            if name not in self.steps:
                raise ConfigurationError(
                    f"{step.name} takes from {name}, which is no step of {self.name}",
                    hint="references belong to the workflow in which they were made",
                )
        if not isinstance(step, MapStep) and EACH in needs(step.given()):
            raise ConfigurationError(f"{step.name}: `each` means something in map steps only")
        self.steps[step.name] = step
        return Reference(Root(name=step.name, shape=step.shape))

    def _all(self, when: Any) -> tuple[Reference, ...]:
        own = () if when is None else (condition_of("when", when),)
        return (*self._conditions, *own)

    def _names(self, after: Any) -> tuple[str, ...]:
        items = after if isinstance(after, list | tuple) else [after]
        names: list[str] = []
        for item in items:
            names += [item] if isinstance(item, str) else sorted(needs(item))
        return tuple(names)
