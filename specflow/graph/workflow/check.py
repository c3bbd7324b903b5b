"""Checking a workflow before it runs: classes, undos, arguments, conditions; every finding in one go."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.graph.workflow.declared import Declared
from specflow.graph.workflow.expression import Applied, FirstOf, Node, Part
from specflow.graph.workflow.reference import Reference, node_of, shape_of, text_of
from specflow.graph.workflow.shape import Shape
from specflow.graph.workflow.step import AgentStep, CallStep, FlowStep, HumanStep, MapStep, PlainStep, Step
from specflow.policy.settings import Judge
from specflow.policy.verdict import Asking, Verdict

Conditions = frozenset[tuple[str, bool]]
"""What is certain when a step runs: texts of conditions, and whether they hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong with a workflow. `error`: it cannot be compiled as it stands."""

    step: str
    code: str
    message: str
    error: bool = True

    def __str__(self) -> str:
        return f"{self.step}: {self.message} [{self.code}]"


class Checker:
    """Looks at one workflow with the tools and the policy it will run with."""

    def __init__(
        self,
        flow: Declared,
        registry: ToolRegistry,
        judge: Judge,
        *,
        context: Mapping[str, Any] | None = None,
        can_ask: bool = True,
    ) -> None:
        """`can_ask` False: there is no checkpointer, so nobody can be asked."""
        self._flow = flow
        self._registry = registry
        self._judge = judge
        self._context = dict(context or {})
        self._can_ask = can_ask

    def findings(self) -> list[Finding]:
        """Everything that is wrong, in the order of the steps."""
        found: list[Finding] = []
        certain: dict[str, Conditions] = {}
        for step in self._flow.order():
            found += self._step(step)
            certain[step.name] = known = self._certain(step, certain)
            if any((text, not holds) in known for text, holds in known):
                message = "can never run: what it needs excludes what it needs"
                found.append(Finding(step=step.name, code="unreachable", message=message))
        found += self._unused()
        return found

    def _step(self, step: Step) -> Iterator[Finding]:
        if isinstance(step, CallStep | MapStep):
            yield from self._arguments(step)
            yield from self._tool(step, step.tool.name, in_map=isinstance(step, MapStep))
        elif isinstance(step, AgentStep):
            for tool in step.tools:
                yield from self._tool(step, tool.name)
        elif isinstance(step, HumanStep) and not self._can_ask:
            yield Finding(
                step=step.name, code="no_checkpointer", message="asks a person: compile needs a checkpointer"
            )
        elif isinstance(step, FlowStep):
            inner = Checker(
                step.flow, self._registry, self._judge, context=self._context, can_ask=self._can_ask
            )
            for found in inner.findings():
                yield Finding(
                    step=f"{step.name}.{found.step}",
                    code=found.code,
                    message=found.message,
                    error=found.error,
                )

    # ------------------------------------------------------------------ tools

    def _tool(self, step: Step, name: str, *, in_map: bool = False) -> Iterator[Finding]:
        spec = self._registry.get(name)
        if spec is None:
            yield Finding(step=step.name, code="unregistered", message=f"{name} is not among the tools")
            return
        verdict = self._verdict(spec)
        if any(reason.code == "unlisted" for reason in verdict.reasons):
            yield Finding(
                step=step.name,
                code="unclassed",
                message=f"nothing says what {name} may do: class it in the policy or by a decorator",
                error=False,
            )
        if verdict.effect is EffectClass.DENY:
            yield Finding(step=step.name, code="denied", message=f"the policy denies {name} ({verdict.why})")
        asks = verdict.effect is EffectClass.CONFIRMATION_REQUIRED and verdict.confirm is Asking.ASK
        if asks and not self._can_ask:
            yield Finding(
                step=step.name,
                code="no_checkpointer",
                message=f"{name} needs a person's yes: give a checkpointer, or say `confirm: host`",
            )
        if not verdict.effect.writes or self._flow.on_failure != "compensate":
            return
        if self._judge.settings(spec).undo is None:
            yield Finding(
                step=step.name,
                code="no_undo",
                message=f"when the workflow fails, what {name} did stays: nothing undoes it",
                error=verdict.effect is EffectClass.COMPENSATABLE,
            )

    def _verdict(self, spec: ToolSpec) -> Verdict:
        return self._judge.judge(spec, spec.call({}), context=self._context)

    # ------------------------------------------------------------------ arguments

    def _arguments(self, step: CallStep | MapStep) -> Iterator[Finding]:
        spec = self._registry.get(step.tool.name)
        if spec is None:
            return
        if (
            isinstance(step, MapStep)
            and isinstance(step.over, Reference)
            and shape_of(step.over).item() is None
        ):
            message = f"over={text_of(step.over)} is {shape_of(step.over)}, not a list"
            yield Finding(step=step.name, code="mistyped", message=message)
        for name, value in step.takes.items():
            schema = spec.properties.get(name)
            if schema is None:
                if name in spec.hidden | spec.injected:
                    message = f"{name} of {spec.name} is filled in, and cannot be given"
                else:
                    near = difflib.get_close_matches(name, spec.properties, n=1)
                    hint = f" (did you mean {near[0]!r}?)" if near else ""
                    message = f"{spec.name} has no parameter {name!r}{hint}"
                yield Finding(step=step.name, code="no_parameter", message=message)
                continue
            wanted = Shape(schema, spec.parameters)
            if not isinstance(value, dict | list | tuple) and not shape_of(value).fits(wanted):
                message = f"{name} of {spec.name} takes {wanted}; {text_of(value)} is {shape_of(value)}"
                yield Finding(step=step.name, code="mistyped", message=message)
        for name in sorted(spec.required - set(step.takes)):
            message = f"{spec.name} needs {name!r}, which nothing gives"
            yield Finding(step=step.name, code="missing", message=message)

    # ------------------------------------------------------------------ conditions and uses

    def _certain(self, step: Step, before: Mapping[str, Conditions]) -> Conditions:
        """What must hold for a step to run: its own conditions, and those of what it cannot do without."""
        known: set[tuple[str, bool]] = set()
        for condition in step.conditions:
            known |= _facts(node_of(condition))
        for name in _indispensable(step):
            known |= before.get(name, frozenset())
        return frozenset(known)

    def _unused(self) -> Iterator[Finding]:
        taken = {name for step in self._flow.order() for name in step.needs}
        last = next(reversed(self._flow.steps), "")
        for step in self._flow.order():
            reads = isinstance(step, PlainStep) or (
                isinstance(step, CallStep | MapStep) and self._reads(step)
            )
            if reads and step.name not in taken and not step.into and step.name != last:
                message = "nothing takes what it leaves"
                yield Finding(step=step.name, code="unused", message=message, error=False)

    def _reads(self, step: CallStep | MapStep) -> bool:
        spec = self._registry.get(step.tool.name)
        return spec is not None and self._verdict(spec).effect is EffectClass.READ_ONLY


def _facts(node: Node) -> set[tuple[str, bool]]:
    if isinstance(node, Applied) and node.word == "and":
        return set().union(*(_facts(item) for item in node.of))
    if isinstance(node, Applied) and node.word == "not":
        return {(text, not holds) for text, holds in _single(node.of[0])}
    return _single(node)


def _single(node: Node) -> set[tuple[str, bool]]:
    facts = _facts(node) if isinstance(node, Applied) and node.word in {"and", "not"} else set()
    return facts if len(facts) == 1 else {(node.text, True)}


def _indispensable(step: Step) -> frozenset[str]:
    """Steps without whose result it is skipped: not those that stand in an `either` with others."""
    return frozenset().union(*(_certainly(item) for item in step.given()))


def _certainly(value: Any) -> frozenset[str]:
    if isinstance(value, Reference):
        return _certain_of(node_of(value))
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return frozenset().union(*(_certainly(item) for item in items))


def _certain_of(node: Node) -> frozenset[str]:
    if isinstance(node, FirstOf):
        return frozenset.intersection(*(_certain_of(item) for item in node.of))
    if isinstance(node, Part):
        return _certain_of(node.of)
    if isinstance(node, Applied):
        return frozenset().union(*(_certain_of(item) for item in node.of))
    return node.roots()
