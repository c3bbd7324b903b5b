"""A tiny outside world that is overwritten: named settings, each undone by writing back what was there.

Setting one returns nothing that would tell the old value, and there is no tool that undoes it: the undo is
the same tool once more, with what was read before. Everything that happens is kept in order.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import CallContext, ToolSpec
from specflow.policy.load import loads
from specflow.policy.policy import Policy

POLICY = """
version: 1
tools:
  get_setting:
    effect: read_only
    reads: ["setting:{args.name}"]
  set_setting:
    effect: compensatable
    speculate: now
    predictors: [scripted]
    timeout: 30s
    writes: ["setting:{args.name}"]
    compensate:
      before: {tool: get_setting, with: {name: args.name}}
      tool: set_setting
      with: {name: args.name, value: before.value}
      succeeded_when: result.status == "set"
"""
"""The policy that fits: a setting is read, set early, and set back."""


@dataclass(slots=True)
class SettingsWorld:
    """Values by name, and a log of (`get` | `set`, name, value). Latencies in seconds.

    `before` maps a tool to the exceptions its next calls raise before they do anything, `failing` to those
    raised after it.
    """

    values: dict[str, Any] = field(default_factory=dict)
    latency: dict[str, float] = field(default_factory=dict)
    log: list[tuple[str, str, Any]] = field(default_factory=list)
    before: dict[str, list[BaseException]] = field(default_factory=dict)
    failing: dict[str, list[BaseException]] = field(default_factory=dict)

    async def get(self, call: Call, context: CallContext) -> Any:
        """The setting of that name; without a `value` where there is none."""
        await self._enter("get_setting")
        name = call.args["name"]
        self.log.append(("get", name, self.values.get(name)))
        self._leave("get_setting")
        found = {"value": self.values[name]} if name in self.values else {}
        return {"name": name, "owner": "somebody", **found}

    async def set(self, call: Call, context: CallContext) -> Any:
        """Overwrite the setting of that name."""
        await self._enter("set_setting")
        name, value = call.args["name"], call.args["value"]
        self.values[name] = value
        self.log.append(("set", name, value))
        self._leave("set_setting")
        return {"status": "set"}

    def tools(self) -> list[ToolSpec]:
        """`get_setting` and `set_setting`, as the policy calls them."""
        text, whole = {"type": "string"}, {"type": "integer"}
        return [
            _tool("get_setting", {"name": text}, self.get),
            _tool("set_setting", {"name": text, "value": whole}, self.set),
        ]

    def policy(self, text: str = POLICY) -> Policy:
        """A real policy over the real tools."""
        return loads(text, tools=ToolRegistry(self.tools()))

    async def _enter(self, tool: str) -> None:
        await asyncio.sleep(self.latency.get(tool, 0.0))
        if self.before.get(tool):
            raise self.before[tool].pop(0)

    def _leave(self, tool: str) -> None:
        if self.failing.get(tool):
            raise self.failing[tool].pop(0)


def _tool(name: str, properties: dict[str, Any], runner: Any) -> ToolSpec:
    schema = {"type": "object", "properties": properties, "required": sorted(properties)}
    return ToolSpec(name=name, parameters=schema, runner=runner)
