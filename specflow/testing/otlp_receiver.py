"""A real OTLP receiver inside the process, for tests of what a program exports.

    with OtlpReceiver() as receiver:
        telemetry = specflow.telemetry.auto(receiver.endpoint)
        ...
        receiver.wait_for(lambda spans: any(span.name == "invoke_agent" for span in spans))
        print(tree(receiver.spans))

Speaks OTLP over HTTP (protobuf, plain or gzip) and, with `grpc=True`, over gRPC, on free ports of the
loopback interface. Needs `opentelemetry-proto`, and `grpcio` for gRPC.
"""

from __future__ import annotations

import sys
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

# protobuf has no type information of its own
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from specflow.errors import ConfigurationError
from specflow.testing.otlp_wire import Point, points, spans
from specflow.testing.span_tree import ReceivedSpan, tree

MOST_BYTES = 64 * 2**20
"""Largest request read, also after unpacking."""


class OtlpReceiver:
    """Keeps every span and metric it is sent. Use as a context manager, or call `start` and `stop`."""

    def __init__(self, *, grpc: bool = False) -> None:
        self._changed = threading.Condition()
        self._spans: list[ReceivedSpan] = []
        self._metrics: dict[str, list[Point]] = {}
        self._with_grpc = grpc
        self._http: _Server | None = None
        self._thread: threading.Thread | None = None
        self._grpc: Any = None  # grpcio has no type information
        self._grpc_port = 0
        self.requests: list[tuple[str, str, str]] = []
        """Of every request accepted: protocol, path and content encoding."""

    def start(self) -> Self:
        """Listen on free ports.

        Raises:
            ConfigurationError: when gRPC was asked for and `grpcio` is not installed.
        """
        if self._with_grpc:
            self._start_grpc()
        receiver: OtlpReceiver = self

        class Handler(_Handler):
            owner = receiver

        self._http = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.05,), name="otlp-receiver", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening; what was received stays readable."""
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._grpc is not None:
            self._grpc.stop(None).wait()
            self._grpc = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        """Base address for OTLP over HTTP."""
        if self._http is None:
            raise ConfigurationError("the receiver is not listening", hint="use it in a with statement")
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def grpc_target(self) -> str:
        """Host and port for OTLP over gRPC."""
        if self._grpc is None:
            raise ConfigurationError("the receiver does not listen for gRPC", hint="OtlpReceiver(grpc=True)")
        return f"127.0.0.1:{self._grpc_port}"

    @property
    def spans(self) -> list[ReceivedSpan]:
        """Every span received so far, in order of arrival."""
        with self._changed:
            return list(self._spans)

    def points(self, metric: str) -> list[Point]:
        """Data points received: unit, attributes, value (of a histogram the sum), and bucket counts."""
        with self._changed:
            return list(self._metrics.get(metric, ()))

    def wait_for(
        self, predicate: Callable[[Sequence[ReceivedSpan]], bool], timeout: float = 30.0
    ) -> list[ReceivedSpan]:
        """The spans, once `predicate` holds for them.

        Raises:
            TimeoutError: after `timeout` seconds, with the tree of what did arrive.
        """
        end = time.monotonic() + timeout
        with self._changed:
            while not predicate(self._spans):
                left = end - time.monotonic()
                if left <= 0:
                    text = tree(self._spans) or "nothing"
                    raise TimeoutError(f"not received within {timeout:g} s; received:\n{text}")
                self._changed.wait(left)
            return list(self._spans)

    def clear(self) -> None:
        """Forget everything received so far."""
        with self._changed:
            self._spans.clear()
            self._metrics.clear()
            self.requests.clear()

    def tree(self, **options: Any) -> str:
        """The received spans as text; options as of `specflow.testing.span_tree.tree`."""
        return tree(self.spans, **options)

    def accept(self, message: Message, *, protocol: str, path: str, encoding: str = "") -> Message:
        """Take in one export request and give the response to send."""
        with self._changed:
            self.requests.append((protocol, path, encoding))
            response: Message = ExportLogsServiceResponse()
            if isinstance(message, ExportTraceServiceRequest):
                self._spans.extend(spans(message.resource_spans))
                response = ExportTraceServiceResponse()
            elif isinstance(message, ExportMetricsServiceRequest):
                for resource in message.resource_metrics:
                    for scope in resource.scope_metrics:
                        for metric in scope.metrics:
                            self._metrics.setdefault(metric.name, []).extend(points(metric))
                response = ExportMetricsServiceResponse()
            self._changed.notify_all()
            return response

    def _start_grpc(self) -> None:
        try:
            import grpc  # type: ignore[import-untyped]  # noqa: PLC0415  optional, and without types
        except ModuleNotFoundError as error:
            raise ConfigurationError("gRPC needs grpcio", hint="pip install grpcio") from error

        def method(path: str, request: type[Message]) -> Any:
            def serve(message: Message, context: Any) -> Message:
                encoding = dict(context.invocation_metadata()).get("grpc-encoding", "")
                return self.accept(message, protocol="grpc", path=path, encoding=str(encoding))

            return grpc.unary_unary_rpc_method_handler(
                serve, request.FromString, lambda response: response.SerializeToString()
            )

        self._grpc = grpc.server(ThreadPoolExecutor(2, thread_name_prefix="otlp-grpc"))
        for service, request in _SERVICES.items():
            handler = grpc.method_handlers_generic_handler(service, {"Export": method(service, request)})
            self._grpc.add_generic_rpc_handlers((handler,))
        self._grpc_port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()


_SERVICES: dict[str, type[Message]] = {
    "opentelemetry.proto.collector.trace.v1.TraceService": ExportTraceServiceRequest,
    "opentelemetry.proto.collector.metrics.v1.MetricsService": ExportMetricsServiceRequest,
    "opentelemetry.proto.collector.logs.v1.LogsService": ExportLogsServiceRequest,
}
_PATHS: dict[str, type[Message]] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent when a client goes away: the program under test may have been killed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    owner: OtlpReceiver
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = _PATHS.get(self.path)
        length = self.headers.get("Content-Length", "")
        if request is None:
            self._refuse(404, f"no such signal: {self.path}")
        elif self.headers.get_content_type() != "application/x-protobuf":
            self._refuse(415, "only application/x-protobuf is understood")
        elif not length.isdigit():
            self._refuse(411, "a Content-Length is needed")
        elif int(length) > MOST_BYTES:
            self._refuse(413, "too large")
        else:
            self._take(request(), self.rfile.read(int(length)))

    def _take(self, message: Message, body: bytes) -> None:
        encoding = self.headers.get("Content-Encoding", "").lower()
        try:
            message.ParseFromString(_unpacked(body, encoding))
        except (DecodeError, zlib.error, ValueError) as error:
            self._refuse(400, str(error))
            return
        response = self.owner.accept(message, protocol="http", path=self.path, encoding=encoding)
        self._answer(200, "application/x-protobuf", response.SerializeToString())

    def _refuse(self, code: int, reason: str) -> None:
        # The body was not read: what follows on this connection would be taken for a request.
        self.close_connection = True
        self._answer(code, "text/plain; charset=utf-8", reason.encode())

    def _answer(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent: a test's output is for its own findings."""


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "deflate"}:
        raise ValueError(f"content encoding {encoding!r} is not understood")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    unpacked = unpacker.decompress(body, MOST_BYTES)
    if not unpacker.eof:
        raise ValueError("the packed body is cut short or too large")
    return unpacked
