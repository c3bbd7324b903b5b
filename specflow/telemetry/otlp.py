"""The SDK's providers with OTLP over HTTP behind them. Imports the extra `otlp`; `auto` checks for it."""

from __future__ import annotations

import os

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def resource(service: str) -> Resource:
    """The SDK's resource; `service` counts where no variable names the service."""
    named = os.environ.get("OTEL_SERVICE_NAME") or SERVICE_NAME + "=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    return Resource.create() if named else Resource.create({SERVICE_NAME: service})


def tracing(described: Resource, endpoint: str | None, queue: int) -> TracerProvider:
    """A tracer provider that exports in batches.

    Raises:
        ValueError: for variables that the SDK cannot use.
    """
    exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces" if endpoint else None)
    # The SDK's own exit hook waits without limit for a collector that does not answer; ours does not.
    provider = TracerProvider(resource=described, shutdown_on_exit=False)
    size = None if "OTEL_BSP_MAX_QUEUE_SIZE" in os.environ else queue
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=size))
    return provider


def metering(described: Resource, endpoint: str | None) -> MeterProvider:
    """A meter provider that exports every `OTEL_METRIC_EXPORT_INTERVAL`.

    Raises:
        ValueError: for variables that the SDK cannot use.
    """
    exporter = OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics" if endpoint else None)
    return MeterProvider(
        metric_readers=[PeriodicExportingMetricReader(exporter)], resource=described, shutdown_on_exit=False
    )


def install(traces: TracerProvider | None, measures: MeterProvider | None) -> None:
    """Make them the global providers."""
    if traces is not None:
        trace.set_tracer_provider(traces)
    if measures is not None:
        metrics.set_meter_provider(measures)
