"""OpenTelemetry for those who have none: SDK, OTLP exporter, flushing; one call.

Setting `OTEL_EXPORTER_OTLP_ENDPOINT` alone does nothing: without a provider there is nobody to export.
Applications that set up OpenTelemetry themselves need nothing of this: specflow uses their provider.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from opentelemetry import metrics, trace

from specflow.errors import ConfigurationError
from specflow.journal.event import CallEvent, EventKind
from specflow.telemetry.exit import AtExit
from specflow.telemetry.flush import Flusher
from specflow.telemetry.spans import close_all

QUEUE = 32_768
"""Spans waiting for export; the SDK's own 2048 drops the bursts that speculation makes."""

FLUSH_TIMEOUT = 5.0
"""Seconds that the end of the process waits for the collector."""


class _Provider(Protocol):
    def force_flush(self, timeout_millis: int = ...) -> bool: ...
    def shutdown(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What this process exports itself; None where somebody else does, or nobody."""

    traces: _Provider | None = None
    metrics: _Provider | None = None


class Telemetry:
    """What `auto` set up. Also an observer: a run that comes to rest, or asks a person, is flushed."""

    def __init__(self, signals: Signals) -> None:
        self._providers = [found for found in (signals.traces, signals.metrics) if found is not None]
        self._open = bool(self._providers)
        if self._open:
            self._flusher = Flusher(self._force_flush)
            self._at_exit = AtExit(self._last_flush)

    @property
    def exporting(self) -> bool:
        """Whether this process exports anything by it: not when switched off, or left to others."""
        return self._open

    def see(self, event: CallEvent) -> None:
        """Ask for a flush where a run may be about to be forgotten. Costs a wake-up, waits for nothing."""
        if self._open and (event.kind is EventKind.SETTLED or event.kind is EventKind.CONFIRMATION_ASKED):
            self._flusher.request()

    def flush(self, timeout: float = FLUSH_TIMEOUT) -> bool:
        """Send what is waiting; whether that was done within `timeout` seconds."""
        return not self._open or self._flusher.run(self._force_flush, timeout)

    def shutdown(self, timeout: float = FLUSH_TIMEOUT) -> bool:
        """Send what is waiting and stop exporting; whether that took less than `timeout` seconds.

        Later spans go nowhere. Calling it again does nothing.
        """
        _forget(self)
        if not self._open:
            return True
        self._open = False
        self._at_exit.remove()
        ended = self._flusher.run(self._stop, timeout)
        self._flusher.end()
        return ended

    def _last_flush(self, final: bool) -> None:
        if final:
            # Spans that nobody will end any more say more as "lost" than by their absence.
            self._flusher.run(close_all, FLUSH_TIMEOUT)
        self._flusher.run(self._force_flush, FLUSH_TIMEOUT)

    def _force_flush(self) -> None:
        for provider in self._providers:
            provider.force_flush(int(FLUSH_TIMEOUT * 1000))

    def _stop(self) -> None:
        for provider in self._providers:
            provider.shutdown()


class FlushObserver:
    """Passes events on to what `auto` set up, if it did, before or after this was made."""

    def see(self, event: CallEvent) -> None:
        """Hand the event to the running telemetry, if any."""
        telemetry = running()
        if telemetry is not None:
            telemetry.see(event)


_running: list[Telemetry] = []
_setting_up = threading.Lock()


def running() -> Telemetry | None:
    """What `auto` set up in this process and nobody has shut down; None if nothing."""
    return _running[0] if _running else None


def _forget(telemetry: Telemetry) -> None:
    if telemetry in _running:
        _running.remove(telemetry)


def auto(endpoint: str | None = None, *, service: str = "") -> Telemetry:
    """Export traces and metrics by OTLP over HTTP, where nobody has set up OpenTelemetry yet.

    Where the application has its own provider, that one is used and nothing is set up beside it. All
    `OTEL_*` variables count (`OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER=none`, endpoints, headers,
    samplers, batch sizes, resource attributes); arguments win over variables. Calling it again
    returns what is there.

    Args:
        endpoint: base address of the collector, such as `http://localhost:4318`; None leaves it to
            the variables, and to that address without them.
        service: `service.name`; default from the variables, else the program's name.

    Raises:
        ConfigurationError: when the extra `otlp` is not installed, or an address or variable names
            something this exporter cannot do.
    """
    with _setting_up:
        if _running:
            return _running[0]
        telemetry = Telemetry(_set_up(_checked(endpoint), service))
        _running.append(telemetry)
        return telemetry


def _set_up(endpoint: str | None, service: str) -> Signals:
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Signals()
    traces = _wanted("OTEL_TRACES_EXPORTER") and isinstance(
        trace.get_tracer_provider(), trace.ProxyTracerProvider
    )
    # The proxy class of meters is private, so it is known by its name.
    measures = _wanted("OTEL_METRICS_EXPORTER") and (
        type(metrics.get_meter_provider()).__name__ == "_ProxyMeterProvider"
    )
    if not traces and not measures:
        return Signals()
    _check_exporter()
    # Here and not above: the SDK takes a twentieth of a second to import, and not everybody wants it.
    from specflow.telemetry import otlp  # noqa: PLC0415  needs the extra, which was checked just now

    resource = otlp.resource(service or _program())
    try:
        tracing = otlp.tracing(resource, endpoint, QUEUE) if traces else None
        metering = otlp.metering(resource, endpoint) if measures else None
    except ValueError as error:
        raise ConfigurationError(
            f"OpenTelemetry cannot use its settings: {error}", hint="see the OTEL_* variables"
        ) from error
    otlp.install(tracing, metering)
    return Signals(traces=tracing, metrics=metering)


def _wanted(variable: str) -> bool:
    """Whether the variable leaves the signal on.

    Raises:
        ConfigurationError: when it asks for an exporter other than `otlp`.
    """
    names = {name.strip().lower() for name in os.environ.get(variable, "otlp").split(",")} - {""}
    if names <= {"otlp"}:
        return True
    if names == {"none"}:
        return False
    raise ConfigurationError(
        f"{variable} asks for {', '.join(sorted(names))}; auto() exports by otlp only",
        hint=f"set {variable}=otlp or none, or set up your own provider and leave auto() out",
        variable=variable,
    )


def _checked(endpoint: str | None) -> str | None:
    if endpoint is None:
        return None
    try:
        parts = urlsplit(endpoint)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ConfigurationError(
            f"{endpoint!r} is no address of an OTLP collector",
            hint="give its base address, such as 'http://localhost:4318'",
            endpoint=endpoint,
        )
    return endpoint.rstrip("/").removesuffix("/v1/traces").removesuffix("/v1/metrics")


def _check_exporter() -> None:
    for variable in (
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    ):
        protocol = os.environ.get(variable, "").strip().lower()
        if protocol not in {"", "http/protobuf"}:
            raise ConfigurationError(
                f"{variable} is {protocol!r}; auto() speaks http/protobuf only",
                hint=f"unset {variable} and use the collector's port 4318, or set up your own provider",
                variable=variable,
            )
    try:
        found = importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http")
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise ConfigurationError(
            "the OTLP exporter is not installed", hint="pip install 'specflow[otlp]'", extra="otlp"
        )


def _program() -> str:
    return Path(sys.argv[0] if sys.argv else "").stem or "specflow"
