"""Tools that keep a log and a tiny world, for tests that compare worlds: `RecordingTools`."""

from __future__ import annotations

import asyncio
import copy
import functools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Literal

from langchain_core.tools import BaseTool, StructuredTool

from specflow.clock import Clock, SystemClock
from specflow.effects.annotate import compensatable, confirmation_required, read_only
from specflow.effects.call import Call
from specflow.effects.tool import CallContext, ToolSpec
from specflow.errors import ConfigurationError

HANG = 86_400.0
"""Seconds a hanging tool takes: a day, real or virtual."""

Outcome = Literal["running", "returned", "raised", "cancelled"]
_context: ContextVar[CallContext | None] = ContextVar("specflow_recording_context", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Trouble for one call: it raises `error`, or hangs, or takes `latency` seconds instead of the usual.

    `after_effect` lets the effect happen first: the caller then cannot know whether it did.
    """

    error: Exception | None = None
    hang: bool = False
    latency: float | None = None
    after_effect: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRun:
    """One run of a tool's body. Times are seconds on the clock given; `end` is None while it runs.

    `context` is what specflow said about the call, None where it came by another way (see `watch`).
    """

    number: int
    tool: str
    args: Mapping[str, Any]
    start: float
    end: float | None = None
    outcome: Outcome = "running"
    result: Any = None
    error: str = ""
    context: CallContext | None = None

    @property
    def early(self) -> bool | None:
        """Whether the call was speculative; None where that is not known."""
        return None if self.context is None else self.context.early


class RecordingTools:
    """Makes LangChain tools, each sync and async, that log every run and share one `world`.

    `latency` is seconds for every tool, or by name; `faults` gives the trouble of the first, second, ...
    call of a tool (None for none). Asynchronous calls wait with `asyncio.sleep`, so they keep a virtual
    loop's time; give `clock=LoopClock()` to have the log in that time too.

    `standard()` makes a store of values by key: `look_up` (read-only), `put` (compensatable, keyed,
    undone by `take_back`, verified by `find_put`) and `send` (confirmation required). `make` wraps any
    function of yours.

    Raises:
        ConfigurationError: for a negative latency.
    """

    def __init__(
        self,
        world: dict[str, Any] | None = None,
        *,
        latency: float | Mapping[str, float] = 0.0,
        faults: Mapping[str, Sequence[Fault | None]] | None = None,
        clock: Clock | None = None,
    ) -> None:
        usual = latency.values() if isinstance(latency, Mapping) else [latency]
        troubled = [fault for faults_of in (faults or {}).values() for fault in faults_of if fault]
        if any(not seconds >= 0 for seconds in [*usual, *(fault.latency or 0.0 for fault in troubled)]):
            raise ConfigurationError("a latency is 0 or more seconds")
        self.world: dict[str, Any] = {} if world is None else world
        self._latency = latency
        self._faults = dict(faults or {})
        self._clock: Clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._runs: list[ToolRun] = []
        self._count: Counter[str] = Counter()
        self._puts: dict[str, dict[str, Any]] = {}
        self._released = threading.Event()

    @property
    def runs(self) -> list[ToolRun]:
        """Every run so far, in order of start."""
        with self._lock:
            return list(self._runs)

    def named(self, tool: str) -> list[ToolRun]:
        """The runs of one tool."""
        return [run for run in self.runs if run.tool == tool]

    def snapshot(self) -> dict[str, Any]:
        """A deep copy of the world."""
        with self._lock:
            return copy.deepcopy(self.world)

    def release(self) -> None:
        """End every synchronous hang at once, also those to come."""
        self._released.set()

    def watch(self, spec: ToolSpec) -> ToolSpec:
        """`spec` with a runner that lets the log see the call's context (early, compensating, key)."""
        runner = spec.runner
        if runner is None:
            raise ConfigurationError(f"{spec.name} has no runner to watch")

        async def watched(call: Call, context: CallContext) -> Any:
            token = _context.set(context)
            try:
                return await runner(call, context)
            finally:
                _context.reset(token)

        return replace(spec, runner=watched)

    def make(self, function: Callable[..., Any], *, name: str = "") -> BaseTool:
        """A tool of a plain function with a docstring; its body runs under the world's lock."""
        name = name or function.__name__

        @functools.wraps(function)
        def run(**args: Any) -> Any:
            with self._logged(name, args) as entry:
                fault = self._fault(name)
                time.sleep(self._seconds(name, fault))
                if fault.hang and not fault.after_effect:
                    self._released.wait(HANG)
                entry.result = self._act(function, args, fault)
                if fault.hang and fault.after_effect:
                    self._released.wait(HANG)
                return entry.result

        @functools.wraps(function)
        async def arun(**args: Any) -> Any:
            with self._logged(name, args) as entry:
                fault = self._fault(name)
                await asyncio.sleep(self._seconds(name, fault))
                if fault.hang and not fault.after_effect:
                    await asyncio.sleep(HANG)
                entry.result = self._act(function, args, fault)
                if fault.hang and fault.after_effect:
                    await asyncio.sleep(HANG)
                return entry.result

        # `wraps` would lead the schema's inference to the plain function, which is what is wanted.
        return StructuredTool.from_function(func=run, coroutine=arun, name=name)

    def standard(self) -> list[BaseTool]:
        """The five tools of the key-value world, with their annotations."""
        put = compensatable(undo="take_back", verify="find_put", idempotency_key="request_id")
        return [
            read_only(self.make(self.look_up)),
            put(self.make(self.put)),
            confirmation_required(self.make(self.take_back)),
            read_only(self.make(self.find_put)),
            confirmation_required(self.make(self.send)),
        ]

    def look_up(self, key: str) -> dict[str, Any]:
        """The value stored under a key."""
        return {"key": key, "found": key in self.world, "value": copy.deepcopy(self.world.get(key))}

    def put(self, key: str, value: str, request_id: str = "") -> dict[str, Any]:
        """Store a value under a key."""
        if request_id and request_id in self._puts:
            return copy.deepcopy(self._puts[request_id]["answer"])
        identity = request_id or f"put_{len(self._puts) + 1}"
        answer = {"put_id": identity, "key": key, "value": value}
        self._puts[identity] = {
            "answer": answer,
            "had": key in self.world,
            "before": self.world.get(key),
            "undone": False,
        }
        self.world[key] = value
        return dict(answer)

    def take_back(self, put_id: str) -> dict[str, Any]:
        """Undo one put: the key holds again what it held before that put."""
        done = self._puts.get(put_id)
        if done is None:
            return {"status": "unknown"}
        if not done["undone"]:
            done["undone"] = True
            key = done["answer"]["key"]
            if done["had"]:
                self.world[key] = done["before"]
            else:
                self.world.pop(key, None)
        return {"status": "undone"}

    def find_put(self, put_id: str) -> dict[str, Any]:
        """Whether a put happened and still stands."""
        done = self._puts.get(put_id)
        return {"found": done is not None and not done["undone"]}

    def send(self, to: str, text: str) -> dict[str, Any]:
        """Send a message; nothing takes it back."""
        sent = self.world.setdefault("sent", [])
        sent.append({"to": to, "text": text})
        return {"sent": len(sent)}

    def _act(self, function: Callable[..., Any], args: dict[str, Any], fault: Fault) -> Any:
        if fault.error is not None and not fault.after_effect:
            raise fault.error
        with self._lock:
            result = function(**args)
        if fault.error is not None:
            raise fault.error
        return result

    def _fault(self, name: str) -> Fault:
        with self._lock:
            position = self._count[name]
            self._count[name] += 1
        planned = self._faults.get(name, ())
        return (planned[position] if position < len(planned) else None) or Fault()

    def _seconds(self, name: str, fault: Fault) -> float:
        if fault.latency is not None:
            return fault.latency
        return self._latency.get(name, 0.0) if isinstance(self._latency, Mapping) else self._latency

    @contextmanager
    def _logged(self, tool: str, args: dict[str, Any]) -> Iterator[_Entry]:
        with self._lock:
            position = len(self._runs)
            run = ToolRun(
                number=position + 1,
                tool=tool,
                args=copy.deepcopy(args),
                start=self._clock.monotonic(),
                context=_context.get(),
            )
            self._runs.append(run)
        entry = _Entry()
        outcome: Outcome = "returned"
        error = ""
        try:
            yield entry
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except BaseException as failure:
            outcome, error = "raised", f"{type(failure).__name__}: {failure}"
            raise
        finally:
            end = self._clock.monotonic()
            with self._lock:
                self._runs[position] = replace(
                    run, end=end, outcome=outcome, error=error, result=copy.deepcopy(entry.result)
                )


class _Entry:
    """Where a run puts its result for the log."""

    result: Any = None
