"""The receiver speaks OTLP as a collector does, and refuses what is not OTLP."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from specflow.errors import ConfigurationError
from specflow.testing.otlp_receiver import OtlpReceiver
from specflow.testing.span_tree import ReceivedSpan, SpanLink, tree

PROTOBUF = {"Content-Type": "application/x-protobuf"}


def request() -> trace_service_pb2.ExportTraceServiceRequest:
    def text(value: str) -> AnyValue:
        return AnyValue(string_value=value)

    span = Span(
        trace_id=b"\xab" * 16,
        span_id=b"\x01" * 8,
        parent_span_id=b"\x02" * 8,
        name="work",
        kind=Span.SPAN_KIND_CONSUMER,
        start_time_unix_nano=1_000,
        end_time_unix_nano=2_000_001_000,
        status=Status(code=Status.STATUS_CODE_ERROR, message="why"),
        attributes=[
            KeyValue(key="text", value=text("a")),
            KeyValue(key="flag", value=AnyValue(bool_value=True)),
            KeyValue(key="whole", value=AnyValue(int_value=-3)),
            KeyValue(key="real", value=AnyValue(double_value=0.5)),
            KeyValue(key="none", value=AnyValue()),
            KeyValue(key="list", value=AnyValue(array_value=ArrayValue(values=[text("x"), text("y")]))),
            KeyValue(
                key="map",
                value=AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k", value=text("v"))])),
            ),
        ],
        events=[Span.Event(name="noted", time_unix_nano=7)],
        links=[Span.Link(trace_id=b"\xcd" * 16, span_id=b"\x03" * 8)],
    )
    resource = Resource(attributes=[KeyValue(key="service.name", value=text("svc"))])
    return trace_service_pb2.ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=resource, scope_spans=[ScopeSpans(spans=[span])])]
    )


def check(span: ReceivedSpan) -> None:
    assert (span.trace_id, span.span_id, span.parent_id) == ("ab" * 16, "01" * 8, "02" * 8)
    assert (span.name, span.kind, span.status, span.message, span.service) == (
        "work",
        "consumer",
        "error",
        "why",
        "svc",
    )
    assert span.seconds == 2.0
    assert span.attributes == {
        "text": "a",
        "flag": True,
        "whole": -3,
        "real": 0.5,
        "none": None,
        "list": ["x", "y"],
        "map": [("k", "v")],
    }
    assert [(note.name, note.at) for note in span.notes] == [("noted", 7)]
    assert [(link.trace_id, link.span_id) for link in span.links] == [("cd" * 16, "03" * 8)]


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_http(receiver: OtlpReceiver, encoding: str) -> None:
    receiver.clear()
    body = request().SerializeToString()
    headers = {**PROTOBUF, "Content-Encoding": encoding} if encoding else PROTOBUF
    body = gzip.compress(body) if encoding else body
    with httpx.Client() as client:
        for _ in range(2):
            answer = client.post(f"{receiver.endpoint}/v1/traces", content=body, headers=headers)
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "application/x-protobuf"
            trace_service_pb2.ExportTraceServiceResponse.FromString(answer.content)
    assert len(receiver.spans) == 2
    check(receiver.spans[0])
    assert receiver.requests == [("http", "/v1/traces", encoding)] * 2


@pytest.fixture
def with_grpc() -> Iterator[tuple[OtlpReceiver, Any]]:
    grpc = pytest.importorskip("grpc")
    with OtlpReceiver(grpc=True) as receiver, grpc.insecure_channel(receiver.grpc_target) as channel:
        yield receiver, channel


def test_grpc(with_grpc: tuple[OtlpReceiver, Any]) -> None:
    import grpc  # type: ignore[import-untyped]  # ships no types

    receiver, channel = with_grpc
    stub = trace_service_pb2_grpc.TraceServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
    stub.Export(request(), timeout=60)
    stub.Export(request(), timeout=60, compression=grpc.Compression.Gzip)
    meters = metrics_service_pb2_grpc.MetricsServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
    meters.Export(metrics_service_pb2.ExportMetricsServiceRequest(), timeout=60)
    assert len(receiver.spans) == 2
    check(receiver.spans[1])
    assert {protocol for protocol, _, _ in receiver.requests} == {"grpc"}
    # Both at once: HTTP goes on beside gRPC.
    body = request().SerializeToString()
    assert httpx.post(f"{receiver.endpoint}/v1/traces", content=body, headers=PROTOBUF).status_code == 200
    assert len(receiver.spans) == 3


@pytest.mark.parametrize(
    ("path", "headers", "body", "code"),
    [
        ("/v1/traces", {"Content-Type": "application/json"}, b"{}", 415),
        ("/v1/other", PROTOBUF, b"", 404),
        ("/v1/traces", PROTOBUF, b"\xff\xff\xff", 400),
        ("/v1/traces", {**PROTOBUF, "Content-Encoding": "gzip"}, b"not gzip", 400),
        ("/v1/traces", {**PROTOBUF, "Content-Encoding": "gzip"}, gzip.compress(b"x" * 99, mtime=0)[:-9], 400),
        ("/v1/traces", {**PROTOBUF, "Content-Encoding": "br"}, b"", 400),
    ],
)
def test_what_is_not_otlp_is_refused(
    receiver: OtlpReceiver, path: str, headers: dict[str, str], body: bytes, code: int
) -> None:
    receiver.clear()
    answer = httpx.post(receiver.endpoint + path, content=body, headers=headers)
    assert answer.status_code == code
    assert receiver.spans == []
    assert receiver.requests == []


def test_a_bomb_is_not_unpacked(receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("specflow.testing.otlp_receiver.MOST_BYTES", 10_000)
    bomb = gzip.compress(b"\0" * 1_000_000)
    assert len(bomb) < 10_000
    headers = {**PROTOBUF, "Content-Encoding": "gzip"}
    assert httpx.post(f"{receiver.endpoint}/v1/traces", content=bomb, headers=headers).status_code == 400


def test_a_body_without_a_length_is_refused(receiver: OtlpReceiver) -> None:
    chunks = iter([b"a", b"b"])
    answer = httpx.post(f"{receiver.endpoint}/v1/traces", content=chunks, headers=PROTOBUF)
    assert answer.status_code == 411


def test_waiting_for_what_never_comes_says_what_did(receiver: OtlpReceiver) -> None:
    receiver.clear()
    body = request().SerializeToString()
    httpx.post(f"{receiver.endpoint}/v1/traces", content=body, headers=PROTOBUF)
    with pytest.raises(TimeoutError, match="work"):
        receiver.wait_for(lambda spans: len(spans) == 2, timeout=0.05)
    assert len(receiver.wait_for(lambda spans: len(spans) == 1)) == 1


def test_a_receiver_that_does_not_listen_says_so() -> None:
    receiver = OtlpReceiver()
    with pytest.raises(ConfigurationError, match="with statement"):
        _ = receiver.endpoint
    with receiver, pytest.raises(ConfigurationError, match="grpc=True"):
        _ = receiver.grpc_target
    with pytest.raises(ConfigurationError):
        _ = receiver.endpoint


def span(ident: str, parent: str, start: int, end: int, **fields: Any) -> ReceivedSpan:
    return ReceivedSpan(
        trace_id=fields.pop("trace", "t"),
        span_id=ident,
        parent_id=parent,
        name=fields.pop("name", ident),
        kind="internal",
        start=start,
        end=end,
        **fields,
    )


def test_tree() -> None:
    spans = [
        span("grandchild", "child", 2, 4, status="error"),
        span("root", "", 0, 10, attributes={"x.outcome": "hit", "x.time": 0.25}),
        span("child", "root", 2, 8, links=(SpanLink(trace_id="t", span_id="later"),)),
        span("later", "root", 8, 10, links=(SpanLink(trace_id="f" * 32, span_id="e" * 16),)),
        span("orphan", "never received", 1, 2, trace="u"),
        span("ouroboros", "ouroboros", 1, 2, trace="v"),
    ]
    assert tree(spans, show=("x.outcome", "x.time"), width=10).splitlines() == [
        "|##########| root  outcome=hit  time=0.25",
        "|  ######  | |- child  -> later",
        "|  ##      | |  `- grandchild  ERROR",
        "|        ##| `- later  -> trace ffffffff, span eeeeeeeeeeeeeeee",
        "",
        "|##########| orphan",
        "",
        "|##########| ouroboros",
    ]
    assert tree([]) == ""
