"""A few recorded runs of real models, replayed: what must hold whatever the figures are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from specflow.policy.load import load
from specflow.prediction.partial_call import PartialCallPredictor
from specflow.prediction.sniffer import ReasoningSniffer
from specflow.replay.latency import latency
from specflow.replay.summary import Summary, replay_run
from specflow.traces.recorded import RecordedRun, read_runs

ROOT = Path(__file__).resolve().parents[2]
FILES = {"airline": "dev_airline_tasks0-9.jsonl.xz", "retail": "dev_retail.jsonl.xz"}


def runs_of(domain: str, every: int, count: int) -> Iterator[RecordedRun]:
    folder = Path(os.environ.get("SPECFLOW_DATA") or ROOT.parent / "shared" / "data")
    file = folder / FILES[domain]
    if not file.exists():
        pytest.skip("no recorded runs: set SPECFLOW_DATA to their folder")
    return islice(read_runs(file), 0, every * count, every)


@pytest.mark.data
@pytest.mark.parametrize("domain", FILES)
def test_recorded_runs_keep_to_their_bounds(domain: str) -> None:
    total = Summary()
    for run in runs_of(domain, every=17, count=8):
        one = replay_run(
            run,
            total,
            judge_for=lambda registry: load(ROOT / "policies" / f"{domain}.yaml", tools=registry),
            predictors=[ReasoningSniffer(), PartialCallPredictor()],
            latency=latency("5s"),
        )
        assert one.saved_seconds <= one.oracle_seconds + 1e-6
        # Neither the reader nor the sniffer guesses what a tool will answer.
        assert one.saved_seconds <= one.known_oracle_seconds + 1e-6
        assert one.known_oracle_seconds <= one.chained_oracle_seconds + 1e-6
        assert one.regret_seconds >= -1e-6
        # On virtual time an early read costs only where it was waited for and then found stale.
        assert one.saved_seconds >= -5.0 * one.outcomes["stale"] - 1e-6
        assert one.launched == one.outcomes["hit"] + one.outcomes["late"] + one.wasted_calls
        assert one.refused == one.conflicts == one.unknown == 0
    assert total.runs == 8
    assert total.oracle_seconds > 0.05 * total.sequential_seconds
    assert total.saved_seconds > 0
    # Reading the model's own message is never wrong; anything less is a bug of the reader.
    assert total.as_json()["predictors"]["partial_call"]["precision"] == 1.0
