"""Workflows: declared in Python, checked before they run, compiled to ordinary LangGraph graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from specflow.clock import SystemClock
from specflow.errors import ConfigurationError
from specflow.graph.tools import ToolLike, as_tool
from specflow.graph.workflow.ahead import DataFlow
from specflow.graph.workflow.build import Builder
from specflow.graph.workflow.check import Checker, Finding
from specflow.graph.workflow.declared import Declared
from specflow.graph.workflow.draw import mermaid, png, svg
from specflow.graph.workflow.picture import Picture, picture
from specflow.graph.workflow.step import AgentStep, CallStep, FlowStep, MapStep
from specflow.journal.memory import MemoryJournal
from specflow.runtime import PolicyLike, Runtime, default_predictors


class Workflow(Declared):
    """A process as steps that take from each other.

    `state` is a pydantic model, a dataclass or a TypedDict: what it is started with. `policy` as for
    `Runtime`. `tools` are those that no step calls, such as compensators. `on_failure="compensate"`: when the
    workflow fails, is cancelled, or a person says no, what its steps have committed is undone, newest first;
    with `keep` it stays, as it does without specflow.
    """

    def __init__(
        self,
        name: str,
        *,
        state: Any = None,
        policy: PolicyLike | None = None,
        tools: Iterable[ToolLike] = (),
        on_failure: str = "keep",
    ) -> None:
        super().__init__(name, state=state, on_failure=on_failure)
        self.policy = policy
        self.further_tools = tuple(as_tool(tool) for tool in tools)

    def tools(self) -> tuple[Any, ...]:
        """Every tool that it can call or needs, each once."""
        found: dict[str, Any] = {}
        for tool in self._tools():
            found.setdefault(tool.name, tool)
        return tuple(found.values())

    def check(self, *, runtime: Runtime | None = None, can_ask: bool = True) -> list[Finding]:
        """Everything that is wrong with it, without running anything; for CI.

        Raises:
            PolicyError: the policy itself is broken.
        """
        if runtime is not None:
            return self._findings(runtime, can_ask=can_ask)
        with self._runtime(journal=MemoryJournal(SystemClock()), telemetry=False) as made:
            return self._findings(made, can_ask=can_ask)

    def draw(self, path: str | Path | None = None, *, runtime: Runtime | None = None) -> str:
        """The workflow as Mermaid text. With a `path` it is written there: .mmd, .svg, .png (extra `draw`).

        Raises:
            ConfigurationError: another kind of file.
            PolicyError: the policy itself is broken.
        """
        if runtime is not None:
            shown = self._picture(runtime)
        else:
            with self._runtime(journal=MemoryJournal(SystemClock()), telemetry=False) as made:
                shown = self._picture(made)
        text = mermaid(shown)
        if path is not None:
            file = Path(path)
            kinds: dict[str, Callable[[], bytes]] = {
                ".mmd": text.encode,
                ".svg": lambda: svg(shown).encode(),
                ".png": lambda: png(shown),
            }
            make = kinds.get(file.suffix.lower())
            if make is None:
                raise ConfigurationError(
                    f"{file.name} is no kind of picture", hint="one of: .mmd, .svg, .png"
                )
            file.write_bytes(make())
        return text

    def compile(
        self,
        *,
        checkpointer: Any = None,
        runtime: Runtime | None = None,
        store: Any = None,
        **options: Any,
    ) -> Any:
        """An ordinary compiled graph. `options` are those of `Runtime` (journal, mode, context, ...), unless
        there is one already. Its runtime is at `app.specflow`, to be closed by whoever is done with it.

        Raises:
            ConfigurationError: with everything that is wrong with the workflow.
        """
        if runtime is not None and options:
            raise ConfigurationError(
                f"runtime= is given, and {', '.join(sorted(options))} as well",
                hint="options belong to a new runtime",
            )
        made = runtime if runtime is not None else self._runtime(**options)
        try:
            self._must_be_sound(made, can_ask=checkpointer is not None)
            app = (
                Builder(self, made.host)
                .graph()
                .compile(checkpointer=checkpointer, store=store, name=self.name)
            )
        except BaseException:
            if runtime is None:
                made.close()
            raise
        app.specflow = made  # type: ignore[attr-defined]  # where those who compiled it find what to close
        return app

    def _runtime(self, **options: Any) -> Runtime:
        if self.policy is None:
            raise ConfigurationError(
                f"{self.name} has no policy", hint='Workflow(..., policy="policies/...")'
            )
        predictors = options.pop("predictors", None)
        chosen = default_predictors() if predictors is None else tuple(predictors)
        return Runtime(self.policy, tools=self.tools(), predictors=(*chosen, DataFlow()), **options)

    def _findings(self, runtime: Runtime, *, can_ask: bool) -> list[Finding]:
        parts = runtime.host.parts
        return Checker(self, parts.registry, parts.judge, context=parts.context, can_ask=can_ask).findings()

    def _must_be_sound(self, runtime: Runtime, *, can_ask: bool) -> None:
        wrong = [item for item in self._findings(runtime, can_ask=can_ask) if item.error]
        if wrong:
            lines = "\n".join(f"  {item}" for item in wrong)
            raise ConfigurationError(f"{self.name} cannot be compiled:\n{lines}")

    def _picture(self, runtime: Runtime) -> Picture:
        parts = runtime.host.parts

        def effect(name: str) -> str:
            spec = parts.registry.require(name)
            return parts.judge.judge(spec, spec.call({}), context=parts.context).effect.value

        return picture(self, effect)

    def _tools(self) -> Iterable[Any]:
        for step in self.order():
            if isinstance(step, CallStep | MapStep):
                yield step.tool
            elif isinstance(step, AgentStep):
                yield from step.tools
            elif isinstance(step, FlowStep) and isinstance(step.flow, Workflow):
                yield from step.flow.tools()
        yield from self.further_tools
