"""`ModelServer`: scripts behind an OpenAI-compatible address on this machine."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from specflow.clock import Clock, SystemClock
from specflow.errors import ConfigurationError
from specflow.testing.model_server.answer import Answer
from specflow.testing.model_server.http import HttpServer
from specflow.testing.model_server.pace import Pace
from specflow.testing.model_server.pieces import speak
from specflow.testing.model_server.reply import HttpShape, Reply, ScriptedError
from specflow.testing.model_server.request import SeenRequest
from specflow.testing.model_server.script import Script, ScriptLike, as_script, replies_given
from specflow.testing.model_server.tokens import Splitter, split_tokens
from specflow.testing.model_server.wire import Envelope

ANY_MODEL = "scripted"
"""The name GET /v1/models gives when one script answers to every model name."""


class ModelServer:
    """A scripted model over HTTP: POST /v1/chat/completions (streamed or not) and GET /v1/models.

    `scripts` is one script for every model name, or a mapping of model name to script. `pace` is tokens
    a second (None: no waiting), `first_token` seconds before the first one, `speed` divides all times,
    also those of replies (None: no waiting at all). `reasoning` says how reasoning travels: in
    `reasoning_content` ("field") or as `<think>` in the content ("inline"). `split` cuts texts into deltas.
    Each answer ends its connection unless `keep_alive`: langchain-openai shares its HTTP clients by address
    for the life of the process, and a connection kept in one outlives the event loop it belongs to.

    Use it as a context manager, or call `start` and `close`.

    Raises:
        ConfigurationError: for a script, amount or port that cannot be used; the port on `start`.
    """

    def __init__(
        self,
        scripts: ScriptLike | Mapping[str, ScriptLike],
        *,
        port: int = 0,
        pace: float | None = None,
        first_token: float = 0.0,
        speed: float | None = 1.0,
        reasoning: HttpShape = "field",
        split: Splitter = split_tokens,
        keep_alive: bool = False,
        clock: Clock | None = None,
    ) -> None:
        if reasoning not in ("field", "inline"):
            raise ConfigurationError(f"reasoning must be 'field' or 'inline', not {reasoning!r}")
        self._named: dict[str, Script] = {}
        self._single: Script | None = None
        if isinstance(scripts, Mapping):
            self._named = {name: as_script(script) for name, script in scripts.items()}
        else:
            self._single = as_script(scripts)
        self._pace = Pace(tokens_per_second=pace, first_token=first_token, speed=speed)
        self._reasoning = reasoning
        self._split = split
        self._port = port
        self._keep_alive = keep_alive
        self._clock: Clock = clock or SystemClock()
        self._http: HttpServer | None = None
        self._lock = threading.Lock()
        self._requests: list[SeenRequest] = []
        self._differences: list[str] = []

    def start(self) -> Self:
        """Listen on the loopback address.

        Raises:
            ConfigurationError: when the given port is taken or is no port.
        """
        if self._http is None:
            try:
                address = ("127.0.0.1", self._port)
                self._http = HttpServer(address, self, self._clock, keep_alive=self._keep_alive)
            except (OSError, OverflowError) as error:
                raise ConfigurationError(
                    f"the model server cannot listen on port {self._port}: {error}",
                    hint="choose another port, or leave `port` out to get a free one",
                    port=self._port,
                ) from error
        return self

    def close(self) -> None:
        """Stop listening and end every open answer. Harmless when closed already."""
        http, self._http = self._http, None
        if http is not None:
            http.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The base URL for clients, ending in `/v1`.

        Raises:
            ConfigurationError: when the server is not running.
        """
        if self._http is None:
            raise ConfigurationError("the model server is not running", hint="use it in a with statement")
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def requests(self) -> list[SeenRequest]:
        """Every chat request so far, in order of arrival."""
        with self._lock:
            return list(self._requests)

    @property
    def differences(self) -> list[str]:
        """What was not as the scripts expect it, and script functions that raised, a line each."""
        with self._lock:
            return list(self._differences)

    def models(self) -> list[str]:
        """The model names the server answers to."""
        return list(self._named) if self._single is None else [ANY_MODEL]

    def answer(self, body: dict[str, Any], arrived: float) -> tuple[SeenRequest, Answer]:
        """The answer to a chat request; called by the HTTP side, `arrived` in seconds on the clock."""
        with self._lock:
            request = SeenRequest(number=len(self._requests) + 1, arrived=arrived, body=body)
            self._requests.append(request)
        reply, differences = self._consult(request)
        with self._lock:
            self._differences.extend(differences)
        speech = speak(
            reply,
            number=replies_given(request.messages),
            prompt_tokens=request.prompt_tokens,
            inline=(reply.reasoning_as or self._reasoning) == "inline",
            split=self._split,
        )
        envelope = Envelope(
            id=f"chatcmpl-{request.number}",
            model=request.model,
            created=int(self._clock.wall()),
            with_usage=request.with_usage,
        )
        timing = self._pace.timing(reply, speech.whole)
        return request, Answer(reply=reply, speech=speech, timing=timing, envelope=envelope)

    def broken(self, error: BaseException) -> None:
        """Keep an error of the server itself where a test will see it."""
        with self._lock:
            self._differences.append(f"model server: {type(error).__name__}: {error}")

    def _consult(self, request: SeenRequest) -> tuple[Reply, list[str]]:
        script = self._single or self._named.get(request.model)
        if script is None:
            known = ", ".join(self._named) or "none"
            return _refused(404, f"no model {request.model!r} here; known: {known}", "model_not_found"), []
        try:
            return script.reply_to(request.messages), list(script.differences(request.messages))
        except Exception as error:  # noqa: BLE001 - a test's own function may raise anything
            message = f"the script raised {type(error).__name__}: {error}"
            return _refused(400, message, "script_failed"), [f"request {request.number}: {message}"]


def _refused(status: int, message: str, code: str) -> Reply:
    # Below 500, so that clients do not repeat the request by themselves.
    return Reply(error=ScriptedError(status=status, message=message, type="invalid_request_error", code=code))
