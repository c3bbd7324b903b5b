"""The sniffer on recorded runs of real models: floors well under what was measured."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("measure_sniffer.py")


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_precision_and_false_launches_on_recorded_runs() -> None:
    spec = importlib.util.spec_from_file_location("measure_sniffer", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules["measure_sniffer"] = script
    try:
        spec.loader.exec_module(script)
        folder = script.data_folder()
        if folder is None:
            pytest.skip("no recorded runs: set SPECFLOW_DATA to their folder")
        scores = script.measure(folder, 0.25, 0)
        told = {place: script.separation(script.outcomes(folder)["all", place]) for place in (0.5, 1.0)}
    finally:
        del sys.modules["measure_sniffer"]
    total = [score for (_, model), score in scores.items() if model == "all"]
    guessed, right = sum(s.guessed for s in total), sum(s.message for s in total)
    steps, first = sum(s.steps for s in total), sum(s.first for s in total)
    assert steps > 150
    assert right / guessed > 0.7
    assert first / steps > 0.3
    assert sum(s.false_turns for s in total) / sum(s.replies for s in total) < 0.06
    assert sum(s.false_writes for s in total) <= 2
    assert told[1.0] > 0.9
    assert told[0.5] > 0.65
