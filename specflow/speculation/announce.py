"""What a runtime says once about itself: which tools will run early, and why the others will not."""

from __future__ import annotations

from specflow.effects.tool import ToolSpec
from specflow.errors import SpecflowError
from specflow.policy.verdict import Speculate
from specflow.speculation.parts import Parts


def in_a_line(parts: Parts) -> str:
    """Such as `5 tools: 3 early, 2 held (charge_card: confirmation, send_mail: confirmation)`."""
    words = {tool.name: _word(parts, tool) for tool in parts.registry}
    held = [f"{name}: {word}" for name, word in words.items() if word != "early"]
    shown = f" ({', '.join(held)})" if held else ""
    return f"{len(words)} tools: {len(words) - len(held)} early, {len(held)} held{shown}"


def _word(parts: Parts, tool: ToolSpec) -> str:
    if tool.injected:
        return "injected state"
    try:
        verdict = parts.judge.judge(tool, tool.call({}), context=parts.context)
    except SpecflowError as error:
        return error.code
    if parts.demotions.holds(tool.name):
        return "diverged"
    return "early" if verdict.speculate is Speculate.NOW else verdict.effect.replace("_required", "")
