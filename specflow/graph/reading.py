"""What is read for a question: adopted where it was read early, and read now where it was not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from specflow.effects.call import Call, NotJsonError, canonical_json
from specflow.effects.redaction import redacted
from specflow.effects.result import seen
from specflow.graph.compat import is_control_flow
from specflow.graph.host import Host
from specflow.graph.place import call_identity
from specflow.graph.real_run import RealRun
from specflow.policy.settings import EARLY_TIMEOUT, Before
from specflow.speculation.adopt import RealCall
from specflow.speculation.shown_reads import read_of

_MOST = 4_000
"""Characters that are shown of one result."""


async def read_for(host: Host, real: RealRun, call: Call) -> str:
    """The results of what the policy shows with a question about `call`, a line each; empty without any.

    Whatever goes wrong with one of them is said in its line: the person is asked all the same.
    """
    reads = host.parts.judge.settings(real.spec).show
    lines = await asyncio.gather(*(_line(host, real, call, item) for item in enumerate(reads)))
    return "\n".join(lines)


async def _line(host: Host, real: RealRun, call: Call, item: tuple[int, Before]) -> str:
    number, read = item
    try:
        said = await _read(host, real, call, number, read)
    except Exception as error:
        if is_control_flow(error):
            raise
        said = f"not known ({type(error).__name__})"
    return f"{read.tool}: {said}"


async def _read(host: Host, real: RealRun, call: Call, number: int, read: Before) -> str:
    parts, found = host.parts, read_of(host.parts, read, call)
    if found is None:
        return "not known (the arguments do not say what to read)"
    spec, made = found
    verdict = parts.judge.judge(spec, made, context=parts.context)
    # INVARIANT: nobody has asked for this call, so it must be a read.
    if verdict.effect.writes:
        return f"not known (this call is {verdict.effect})"
    settings = parts.judge.settings(spec)
    coordinator = host.coordinator(asyncio.get_running_loop())
    name = f"{real.call_id}:shown {number}"
    assert spec.runner is not None
    async with asyncio.timeout(settings.timeout or EARLY_TIMEOUT):
        value = await coordinator.real_call(
            coordinator.session(real.place.session),
            RealCall(
                call=made,
                tool=spec,
                runner=spec.runner,
                identity=call_identity(real.place, name, made),
                call_id=name,
                tool_call_id=real.tool_call_id,
                lane=real.place.lane,
            ),
        )
    return _text(value, settings.redact)


def _text(value: Any, redact: tuple[str, ...]) -> str:
    value = seen(value)
    try:
        plain = json.loads(value) if redact and isinstance(value, str) else value
    except ValueError:
        plain = value
    try:
        shown = redacted("result", json.loads(canonical_json(plain)), redact)
    except (NotJsonError, ValueError, RecursionError):
        return "not known (its result is not plain data)"
    text = shown if isinstance(shown, str) else json.dumps(shown, sort_keys=True)
    return text if len(text) <= _MOST else f"{text[:_MOST]}... ({len(text) - _MOST} more characters)"
