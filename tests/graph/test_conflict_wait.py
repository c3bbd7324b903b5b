"""The option that says how long a real call waits for what is in its way."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import specflow as sf
from specflow.errors import ConfigurationError
from specflow.policy.load import loads


def runtime(tmp_path: Path, **options: float) -> sf.Runtime:
    policy = loads("version: 1\n")
    return sf.Runtime(
        policy, tools=[], journal=f"sqlite:///{tmp_path}/journal.db", telemetry=False, **options
    )  # type: ignore[arg-type] # only numbers


def test_it_reaches_the_core(tmp_path: Path) -> None:
    for options, seconds in (({}, 10.0), ({"conflict_wait": 0.0}, 0.0), ({"conflict_wait": 2.5}, 2.5)):
        with runtime(tmp_path, **options) as made:
            assert made.host.parts.conflict_wait == seconds


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_what_is_no_waiting_time_is_refused_before_anything_is_opened(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="conflict_wait"):
        runtime(tmp_path, conflict_wait=seconds)
    assert list(tmp_path.iterdir()) == []
