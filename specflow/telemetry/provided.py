"""Who exports what specflow shows: the application's provider, or nobody."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass

from opentelemetry import metrics, trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Provided:
    """`traces` and `metrics` name the providers of this process, empty where there is none.

    `endpoints` are the variables that name a collector. `exporter`: the extra `otlp` is installed.
    `disabled`: OTEL_SDK_DISABLED is set.
    """

    traces: str
    metrics: str
    endpoints: tuple[str, ...]
    exporter: bool
    disabled: bool


def provided() -> Provided:
    """As it is now; nothing is set up by asking."""
    tracing, measuring = trace.get_tracer_provider(), metrics.get_meter_provider()
    # The proxy class of meters is private, so it is known by its name.
    metered = type(measuring).__name__ != "_ProxyMeterProvider"
    return Provided(
        traces="" if isinstance(tracing, trace.ProxyTracerProvider) else type(tracing).__name__,
        metrics=type(measuring).__name__ if metered else "",
        endpoints=tuple(
            sorted(
                name
                for name, value in os.environ.items()
                if name.startswith("OTEL_EXPORTER_OTLP") and name.endswith("ENDPOINT") and value
            )
        ),
        exporter=_installed(),
        disabled=os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true",
    )


def _installed() -> bool:
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False
