"""Counters and histograms from events. Labels are tools, predictors and outcomes, never ids."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from typing import TypeVar

from opentelemetry import metrics
from opentelemetry.metrics import MeterProvider

import specflow
from specflow.journal.event import CallEvent, EventKind
from specflow.speculation.hindsight import Hindsight, Missed
from specflow.telemetry import names
from specflow.telemetry.content import seconds

T = TypeVar("T")
log = logging.getLogger("specflow")
_ADOPTED = frozenset({"hit", "late"})
_MOST_NAMES = 200
"""Distinct tool names kept as labels: a model can invent names, and every one would be a time series."""


class MetricObserver:
    """Counts speculations, misfires, real calls and compensations; measures saved and wasted time and runway.

    Args:
        meter_provider: where measurements go; None is the global provider, also one that is set later.
        limit: most speculations in flight whose tool and predictor are remembered.
    """

    def __init__(self, meter_provider: MeterProvider | None = None, *, limit: int = 8192) -> None:
        version = getattr(specflow, "__version__", "")
        meter = metrics.get_meter(names.INSTRUMENTATION, version, meter_provider, names.SCHEMA_URL)
        self._speculations = meter.create_counter(
            names.METRIC_SPECULATIONS, "{speculation}", "Speculations, by how they were resolved"
        )
        self._misfires = meter.create_counter(
            names.METRIC_MISFIRES,
            "{speculation}",
            "Early calls that nobody adopted, by what was wrong with them",
        )
        self._compensations = meter.create_counter(
            names.METRIC_COMPENSATIONS, "{compensation}", "Effects taken back, or stuck"
        )
        self._calls = meter.create_counter(
            names.METRIC_CALLS, "{call}", "Tool calls of the model, by what speculation had ready"
        )
        self._samples = meter.create_counter(
            names.METRIC_SAMPLES, "{sample}", "Reads that were run again and compared"
        )
        self._model_calls = meter.create_counter(
            names.METRIC_MODEL_CALLS, "{call}", "Model calls made early, by whether the real run wanted them"
        )
        self._times = {
            fact: meter.create_histogram(
                name, "s", text, explicit_bucket_boundaries_advisory=names.BUCKETS_SECONDS
            )
            for fact, name, text in (
                ("saved", names.METRIC_SAVED, "Time the real run did not have to wait"),
                ("wasted", names.METRIC_WASTED, "Time spent on early work nobody adopted"),
                ("runway", names.METRIC_RUNWAY, "Time from launch to the moment of need"),
            )
        }
        self._limit = limit
        self._hindsight = Hindsight(limit=limit)
        self._lock = threading.Lock()
        self._launched: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._compensating: OrderedDict[str, str] = OrderedDict()
        self._calling: OrderedDict[str, str] = OrderedDict()
        self._names: set[str] = set()
        self._complained = False

    def see(self, event: CallEvent) -> None:
        """Count or measure the event."""
        try:
            with self._lock:
                self._see(event)
        except Exception:
            if not self._complained:
                self._complained = True
                log.exception("a metric for %s failed; said once", getattr(event, "kind", "?"))

    def _see(self, event: CallEvent) -> None:
        kind = event.kind
        for missed in self._hindsight.see(event):
            self._missed(missed)
        if kind is EventKind.LAUNCHED:
            candidate = event.candidate
            tool = self._label(candidate.call.tool) if candidate is not None else ""
            predictor = self._label(candidate.predictor) if candidate is not None else ""
            self._keep(self._launched, event.speculation_id, (tool, predictor))
        elif kind is EventKind.RESOLVED:
            self._resolved(event)
        elif kind is EventKind.CALL_STARTED:
            self._keep(self._calling, event.call_id, self._tool(event))
        elif kind is EventKind.CALL_ENDED:
            tool = self._calling.pop(event.call_id, "") or self._tool(event)
            self._calls.add(1, {names.LABEL_TOOL: tool, names.LABEL_OUTCOME: event.outcome, **_group(event)})
        elif kind in {EventKind.VERIFIED, EventKind.DIVERGED}:
            labels = {names.LABEL_TOOL: self._tool(event), names.LABEL_OUTCOME: event.outcome}
            self._samples.add(1, {**labels, **_group(event)})
        elif kind is EventKind.MODEL_CALL_RESOLVED:
            self._model_calls.add(1, {names.LABEL_OUTCOME: event.outcome, **_group(event)})
        elif kind is EventKind.COMPENSATION_STARTED:
            self._keep(self._compensating, event.speculation_id or event.effect_id, self._tool(event))
        elif kind is EventKind.COMPENSATION_ENDED:
            undo = self._compensating.pop(event.speculation_id or event.effect_id, "") or self._tool(event)
            self._compensations.add(1, {names.LABEL_TOOL: undo, names.LABEL_OUTCOME: event.outcome})

    def _resolved(self, event: CallEvent) -> None:
        tool, predictor = self._launched.pop(event.speculation_id, ("", ""))
        labels = {
            names.LABEL_TOOL: tool or self._tool(event),
            names.LABEL_PREDICTOR: predictor,
            names.LABEL_OUTCOME: event.outcome,
            **_group(event),
        }
        self._speculations.add(1, labels)
        for fact, histogram in self._times.items():
            value = seconds(event.facts, fact)
            # A miss that "saved 0 s" or a hit that "wasted 0 s" would only blur the distribution.
            told = fact == "runway" or (fact == "saved") is (event.outcome in _ADOPTED)
            if value is not None and told:
                histogram.record(value, labels)

    def _missed(self, missed: Missed) -> None:
        """Counted when its session is at rest: only then is it known that the call did not come later."""
        labels = {
            names.LABEL_TOOL: self._label(missed.tool),
            names.LABEL_PREDICTOR: self._label(missed.predictor),
            names.LABEL_MISFIRE: str(missed.kind),
        }
        self._misfires.add(1, {**labels, names.LABEL_GROUP: missed.group} if missed.group else labels)

    def _tool(self, event: CallEvent) -> str:
        call = event.call or (event.candidate.call if event.candidate is not None else None)
        return self._label(call.tool) if call is not None else ""

    def _label(self, name: str) -> str:
        label = names.shown(name)
        if label in self._names:
            return label
        if len(self._names) >= _MOST_NAMES:
            return names.ERROR_OTHER
        self._names.add(label)
        return label

    def _keep(self, kept: OrderedDict[str, T], key: str, value: T) -> None:
        kept[key] = value
        while len(kept) > self._limit:
            kept.popitem(last=False)


def _group(event: CallEvent) -> dict[str, str]:
    """The group of a canary, where there is one."""
    return {names.LABEL_GROUP: event.group} if event.group else {}
