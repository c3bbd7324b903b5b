"""OPENTELEMETRY: spans and metrics of every hit and every rollback. The only importer of opentelemetry.

    from specflow import telemetry

    telemetry.auto()                       # only where nothing set up OpenTelemetry before
    observers = telemetry.observers()      # what the runtime shows its events to

Tracing observes: it can slow nothing that waits for it, fail no call, and lose nothing but itself.
"""

from __future__ import annotations

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from specflow.journal.event import Observer
from specflow.telemetry.auto import FlushObserver, Telemetry, auto
from specflow.telemetry.content import Redact
from specflow.telemetry.metrics import MetricObserver
from specflow.telemetry.spans import SpanObserver

__all__ = [
    "FlushObserver",
    "MetricObserver",
    "Redact",
    "SpanObserver",
    "Telemetry",
    "auto",
    "observers",
]


def observers(
    *,
    agent: str = "",
    redact: Redact = (),
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> tuple[SpanObserver, Observer, Observer]:
    """Spans, metrics and flushing, in the order in which they must see events. Providers: None is global."""
    return (
        SpanObserver(tracer_provider, agent=agent, redact=redact),
        MetricObserver(meter_provider),
        FlushObserver(),
    )
