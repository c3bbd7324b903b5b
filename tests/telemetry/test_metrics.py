"""Metrics as a collector receives them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from specflow.effects.call import Call
from specflow.journal.event import CallEvent, EventKind
from specflow.telemetry import names
from specflow.telemetry.metrics import MetricObserver
from specflow.testing.otlp_receiver import OtlpReceiver


@pytest.fixture
def measured(receiver: OtlpReceiver) -> Iterator[tuple[MetricObserver, MeterProvider]]:
    receiver.clear()
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{receiver.endpoint}/v1/metrics"), 3_600_000)
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    yield MetricObserver(provider), provider
    provider.shutdown()


def labels(receiver: OtlpReceiver, metric: str) -> dict[tuple[Any, ...], float]:
    return {tuple(attributes.values()): value for _, attributes, value, _ in receiver.points(metric)}


def test_a_run_is_counted(
    measured: tuple[MetricObserver, MeterProvider],
    receiver: OtlpReceiver,
    story_class: Any,
    travel_story: Any,
) -> None:
    observer, provider = measured
    travel_story(story_class(observer))
    provider.force_flush()
    assert labels(receiver, "specflow.speculations") == {
        ("search_flights", "sniffer", "hit"): 1,
        ("weather", "sniffer", "late"): 1,
        ("book_flight", "sniffer", "compensated"): 1,
    }
    assert labels(receiver, "specflow.compensations") == {("cancel_booking", "compensated"): 1}
    assert labels(receiver, "specflow.calls") == {
        ("search_flights", "hit"): 1,
        ("weather", "late"): 1,
        ("book_flight", "miss"): 1,
        ("charge_card", "miss"): 1,
    }
    assert labels(receiver, "specflow.speculation.saved_time") == {
        ("search_flights", "sniffer", "hit"): 1.5,
        ("weather", "sniffer", "late"): 1.35,
    }
    assert labels(receiver, "specflow.speculation.wasted_time") == {
        ("book_flight", "sniffer", "compensated"): 1.1
    }
    unit, attributes, _, buckets = receiver.points("specflow.speculation.runway")[0]
    assert unit == "s"
    assert set(attributes) == {"tool", "predictor", "outcome"}
    assert len(buckets) == len(names.BUCKETS_SECONDS) + 1
    assert buckets.index(1) == 8, "2.25 s lies between 1.28 and 2.56"


def test_buckets_double_from_ten_milliseconds() -> None:
    assert names.BUCKETS_SECONDS[0] == 0.01
    assert names.BUCKETS_SECONDS[-1] == 81.92
    assert all(
        later == pytest.approx(2 * earlier)
        for earlier, later in zip(names.BUCKETS_SECONDS, names.BUCKETS_SECONDS[1:], strict=False)
    )


def test_invented_tool_names_are_not_a_time_series_each(
    measured: tuple[MetricObserver, MeterProvider], receiver: OtlpReceiver, story_class: Any
) -> None:
    observer, provider = measured
    story = story_class(observer)
    for number in range(1000):
        story.call(f"invented_{number}", {}, f"call_{number}")
        story.call_over(f"call_{number}", "refused")
    provider.force_flush()
    found = labels(receiver, "specflow.calls")
    assert len(found) == 201
    assert found["_OTHER", "refused"] == 800


def test_what_is_in_flight_is_bounded(story_class: Any) -> None:
    observer = MetricObserver(limit=8)
    story = story_class(observer)
    for number in range(100):
        story.launch("weather", {"n": number}, f"spec_{number}")
        story.call("weather", {"n": number}, f"call_{number}")
        story.undo("unbook", {}, effect=f"eff_{number}")
    assert len(observer._launched) == len(observer._calling) == len(observer._compensating) == 8


def test_a_broken_meter_is_said_once(story_class: Any, caplog: Any) -> None:
    observer = MetricObserver()

    class Broken:
        def add(self, *_: object) -> None:
            raise RuntimeError("broken")

    observer._calls = Broken()  # type: ignore[assignment]  # on purpose
    story = story_class(observer)
    story.call_over("call_1", "miss")
    story.call_over("call_2", "miss")
    assert len([record for record in caplog.records if "said once" in record.message]) == 1


def test_the_group_of_a_canary_is_a_label(
    measured: tuple[MetricObserver, MeterProvider], receiver: OtlpReceiver
) -> None:
    observer, provider = measured
    call = Call(tool="weather", args={})
    for group in ("canary", "control", ""):
        observer.see(CallEvent(kind=EventKind.CALL_ENDED, at=1.0, call=call, outcome="miss", group=group))
    provider.force_flush()
    found = [attributes for _, attributes, *_ in receiver.points("specflow.calls")]
    assert sorted(item.get("group", "") for item in found) == ["", "canary", "control"]


def test_early_model_calls_are_counted(
    measured: tuple[MetricObserver, MeterProvider], receiver: OtlpReceiver
) -> None:
    observer, provider = measured
    for outcome in ("hit", "late", "cancelled", "hit"):
        observer.see(CallEvent(kind=EventKind.MODEL_CALL_RESOLVED, at=1.0, outcome=outcome))
    provider.force_flush()
    found = {item["outcome"]: value for _, item, value, *_ in receiver.points("specflow.model_calls")}
    assert found == {"hit": 2, "late": 1, "cancelled": 1}


def test_samples_are_counted(measured: tuple[MetricObserver, MeterProvider], receiver: OtlpReceiver) -> None:
    observer, provider = measured
    call = Call(tool="weather", args={})
    for kind, outcome in ((EventKind.VERIFIED, "same"), (EventKind.DIVERGED, "diverged")):
        observer.see(CallEvent(kind=kind, at=1.0, call=call, outcome=outcome))
    provider.force_flush()
    assert labels(receiver, "specflow.samples") == {("weather", "same"): 1, ("weather", "diverged"): 1}


def test_misfires_are_counted_when_nothing_more_can_be_known(
    measured: tuple[MetricObserver, MeterProvider], receiver: OtlpReceiver, story_class: Any
) -> None:
    observer, provider = measured
    story = story_class(observer)
    for spec, key in (("spec_1", "a"), ("spec_2", "b")):
        story.launch("look", {"at": key}, spec)
        story.emit(
            EventKind.RESOLVED,
            speculation_id=spec,
            outcome="cancelled",
            cause="mismatch",
            key=key,
            misfire="wrong_argument",
            call=Call(tool="look", args={"at": key}),
        )
    provider.force_flush()
    assert labels(receiver, "specflow.misfires") == {}
    # A step later the second one is called after all.
    story.emit(EventKind.CALL_ENDED, call_id="call_1", outcome="miss", key="b")
    story.settle()
    provider.force_flush()
    assert labels(receiver, "specflow.misfires") == {
        ("look", "", "wrong_argument"): 1,
        ("look", "", "too_early"): 1,
    }
