"""A call that a person is to be asked about: how it is shown, how it is told from others, who hears of it."""

from __future__ import annotations

from typing import Any

from langgraph.prebuilt.tool_node import ToolCallRequest

from specflow.effects.call import Call
from specflow.graph.confirm import Matter, Told
from specflow.graph.host import Host
from specflow.graph.place import Place, call_id, call_identity, call_name, messages_of, place_of
from specflow.graph.reading import read_for
from specflow.graph.real_run import RealRun, call_of
from specflow.graph.shown import Shown, description
from specflow.journal.event import CallEvent, EventKind
from specflow.policy.settings import CONFIRM_WITHIN


def matter_of(host: Host, request: ToolCallRequest, real: RealRun) -> Matter:
    """The call as it stands now: under this policy, of a tool with this schema."""
    spec, parts = real.spec, host.parts
    call = call_of(spec, request.tool_call["args"])
    verdict = parts.judge.judge(spec, call, context=parts.context)
    settings = parts.judge.settings(spec)

    def shown(again: str) -> Shown:
        head, tail = description(call, verdict, settings, again)
        return Shown(
            call=call,
            name=call_name(real.place, real.call_id),
            thread=real.place.session.thread,
            head=head,
            tail=tail,
            schema_hash=spec.schema_hash,
            policy_hash=verdict.policy_hash,
            within=settings.confirm_within,
        )

    return Matter(
        request=request,
        told=_teller(host, real, call),
        shown=shown,
        call=lambda args: call_of(spec, args),
        identity=lambda made: call_identity(real.place, real.call_id, made),
        read=lambda: read_for(host, real, call),
    )


def missing_matter(host: Host, request: ToolCallRequest, name: str) -> Matter:
    """The same for a tool that is not here: an open question about it can be answered with a no."""
    place = place_of(request.runtime.config)
    one_call = _one_call(place, request, name)

    def call(args: dict[str, Any]) -> Call:
        return call_of(None, args, request.tool_call["name"])

    return Matter(
        request=request,
        told=lambda _word: None,
        shown=lambda _again: Shown(
            call=call(request.tool_call["args"]),
            name=call_name(place, one_call),
            thread=place.session.thread,
            # What of its arguments is to be hidden is not known without the tool.
            head=f"{request.tool_call['name']} needs your approval, and there is no such tool here any more",
            schema_hash="",
            policy_hash=host.parts.judge.hash,
            within=CONFIRM_WITHIN,
        ),
        call=call,
        identity=lambda made: call_identity(place, one_call, made),
    )


def name_of(request: ToolCallRequest, name: str) -> str:
    """The call's own name, whatever its arguments and whether or not its tool is known."""
    place = place_of(request.runtime.config)
    return call_name(place, _one_call(place, request, name))


def _one_call(place: Place, request: ToolCallRequest, name: str) -> str:
    return name or call_id(place, messages_of(request.state), request.tool_call["id"])


def _teller(host: Host, real: RealRun, call: Call) -> Told:
    parts, key = host.parts, real.place.session
    session_id = real.session_id()

    def told(word: str) -> None:
        asked = word == "asked"
        parts.observers.see(
            CallEvent(
                kind=EventKind.CONFIRMATION_ASKED if asked else EventKind.CONFIRMATION_ANSWERED,
                at=parts.clock.monotonic(),
                session_id=session_id,
                thread=key.thread,
                group=parts.group_of(key.thread, key.run),
                call_id=real.call_id,
                call=call,
                cause="" if asked else word,
                facts={"tool_call_id": real.tool_call_id},
            )
        )

    return told
