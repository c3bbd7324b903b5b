"""From OTLP's protobuf messages to simple records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric, NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from specflow.testing.span_tree import AttributeValue, ReceivedSpan, SpanLink, SpanNote

_KINDS = {0: "internal", 1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
_STATUS = {0: "unset", 1: "ok", 2: "error"}
Point = tuple[str, dict[str, AttributeValue], float | int, tuple[int, ...]]


def spans(resources: Sequence[ResourceSpans]) -> Iterator[ReceivedSpan]:
    """The spans of an export request."""
    for resource in resources:
        service = str(_attributes(resource.resource.attributes).get("service.name", ""))
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield _span(span, service)


def _span(span: Span, service: str) -> ReceivedSpan:
    return ReceivedSpan(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        kind=_KINDS.get(span.kind, "internal"),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        status=_STATUS.get(span.status.code, "unset"),
        message=span.status.message,
        attributes=_attributes(span.attributes),
        links=tuple(
            SpanLink(
                trace_id=link.trace_id.hex(),
                span_id=link.span_id.hex(),
                attributes=_attributes(link.attributes),
            )
            for link in span.links
        ),
        notes=tuple(
            SpanNote(name=event.name, at=event.time_unix_nano, attributes=_attributes(event.attributes))
            for event in span.events
        ),
        service=service,
    )


def points(metric: Metric) -> Iterator[Point]:
    """The data points of a counter, a gauge or a histogram."""
    kind = metric.WhichOneof("data")
    if kind == "histogram":
        for point in metric.histogram.data_points:
            yield metric.unit, _attributes(point.attributes), point.sum, _buckets(point)
    elif kind in {"sum", "gauge"}:
        for number in (metric.sum if kind == "sum" else metric.gauge).data_points:
            yield metric.unit, _attributes(number.attributes), _number(number), ()


def _buckets(point: HistogramDataPoint) -> tuple[int, ...]:
    return tuple(point.bucket_counts)


def _number(point: NumberDataPoint) -> float | int:
    return point.as_int if point.WhichOneof("value") == "as_int" else point.as_double


def _attributes(pairs: Sequence[KeyValue]) -> dict[str, AttributeValue]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> AttributeValue:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return [(pair.key, _value(pair.value)) for pair in value.kvlist_value.values]
    found: AttributeValue = getattr(value, kind)
    return found
