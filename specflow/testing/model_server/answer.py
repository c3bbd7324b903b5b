"""Giving one answer over one connection: streamed or whole, at its pace, with its scripted trouble."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

from specflow.testing.model_server import wire
from specflow.testing.model_server.line import ClientGoneError, Line, ServerClosingError
from specflow.testing.model_server.pace import Timing
from specflow.testing.model_server.pieces import Ending, Speech
from specflow.testing.model_server.reply import Reply, ScriptedError
from specflow.testing.model_server.request import Answered, SeenRequest

EVENT_STREAM = "text/event-stream; charset=utf-8"
JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is to be said to one request, and when."""

    reply: Reply
    speech: Speech
    timing: Timing
    envelope: wire.Envelope


def give(answer: Answer, request: SeenRequest, line: Line) -> bool:
    """Answer the request; whether the connection can be used for another one."""
    outcome = Answered.CLOSED
    try:
        outcome = (_stream if request.stream else _whole)(answer, request, line)
    except ClientGoneError:
        outcome = Answered.ABANDONED
    except ServerClosingError:
        outcome = Answered.CLOSED
    finally:
        request.end(outcome)
    return outcome in {Answered.FINISHED, Answered.ERROR}


def _whole(answer: Answer, request: SeenRequest, line: Line) -> Answered:
    reply, speech, timing = answer.reply, answer.speech, answer.timing
    if reply.error is not None:
        return _refuse(reply, reply.error, request, line)
    line.wait(request.arrived + timing.due(sum(piece.tokens for piece in speech.pieces)))
    if speech.ending is Ending.HANG:
        line.wait(None)
    if speech.ending is Ending.DIE:
        return Answered.DIED
    body = wire.encode(answer.envelope.completion(speech, reply.finish_reason))
    return _end(
        request, Answered.FINISHED, line, head(HTTPStatus.OK, JSON, length=len(body), last=line.last) + body
    )


def _stream(answer: Answer, request: SeenRequest, line: Line) -> Answered:
    reply, speech, timing = answer.reply, answer.speech, answer.timing
    if reply.error is not None and speech.ending is not Ending.ERROR:
        return _refuse(reply, reply.error, request, line)
    line.send(head(HTTPStatus.OK, EVENT_STREAM, length=None, last=line.last))
    line.wait(request.arrived + timing.start)
    line.send(_chunked(wire.event(answer.envelope.chunk({"role": "assistant", "content": ""}))))
    said = 0
    for piece in speech.pieces:
        said += piece.tokens
        line.wait(request.arrived + timing.due(said))
        line.send(_chunked(wire.event(answer.envelope.chunk(wire.delta(piece)))))
    if speech.ending is Ending.HANG:
        line.wait(None)
    if speech.ending is Ending.DIE:
        return Answered.DIED
    if speech.ending is Ending.ERROR:
        error = reply.error or ScriptedError()
        return _end(request, Answered.ERROR, line, _chunked(wire.event(error.body())) + _chunked(b""))
    last = b"".join(_chunked(event) for event in _last(answer)) + _chunked(b"")
    return _end(request, Answered.FINISHED, line, last)


def _end(request: SeenRequest, outcome: Answered, line: Line, data: bytes) -> Answered:
    # INVARIANT: who has read the whole answer finds the request marked; so mark it before the last bytes go.
    request.answered = outcome
    line.send(data)
    return outcome


def _last(answer: Answer) -> Iterator[bytes]:
    yield wire.event(answer.envelope.chunk({}, answer.reply.finish_reason))
    if answer.envelope.with_usage:
        yield wire.event(answer.envelope.usage_chunk(answer.speech.usage))
    yield wire.DONE


def _refuse(reply: Reply, error: ScriptedError, request: SeenRequest, line: Line) -> Answered:
    line.wait(request.arrived + (reply.first_token or 0.0))
    return _end(request, Answered.ERROR, line, refusal(error, last=line.last))


def refusal(error: ScriptedError, *, last: bool) -> bytes:
    """A whole HTTP error answer."""
    body = wire.encode(error.body())
    extra = {} if error.retry_after is None else {"retry-after": f"{error.retry_after:g}"}
    return head(error.status, JSON, length=len(body), last=last, extra=extra) + body


def head(
    status: int, kind: str, *, length: int | None, last: bool, extra: dict[str, str] | None = None
) -> bytes:
    """Status line and headers; without a length the body is sent in chunks, `last` ends the connection."""
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Scripted"
    size = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    ending = {"Connection": "close"} if last else {}
    headers = {"Content-Type": kind, "Cache-Control": "no-store", **size, **ending, **(extra or {})}
    lines = [f"HTTP/1.1 {int(status)} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _chunked(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode("ascii") + data + b"\r\n"
