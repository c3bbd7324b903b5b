"""On recorded runs, where there are any: the file holds no value of them."""

from __future__ import annotations

import json
import os
import re
from itertools import islice
from pathlib import Path

import pytest

from specflow.prediction.history.lesson import train
from specflow.prediction.history.predictor import reading
from specflow.replay.lessons import lesson_of
from specflow.traces.recorded import read_runs

FILES = ("dev_airline_tasks0-9.jsonl.xz", "dev_retail.jsonl.xz")


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_no_value_of_recorded_runs_is_in_the_file(file: str) -> None:
    folder = Path(os.environ.get("SPECFLOW_DATA", "nowhere"))
    if not (folder / file).exists():
        pytest.skip("no recorded runs: set SPECFLOW_DATA to their folder")
    lessons = [lesson_of(run, place=file) for run in islice(read_runs(folder / file), 12)]
    early = reading(lessons[0].tools)
    text = json.dumps(train(lessons, early=lambda name: early.get(name, False), epochs=1).as_json())
    said: set[str] = set()
    for lesson in lessons:
        for moment in lesson.moments:
            for call in moment.calls:
                said |= {value for value in call.args.values() if isinstance(value, str)}
            for item in moment.new:
                said |= set(re.findall(r"[\w#@.+-]*\d[\w#@.+-]*|\b[A-Z][a-z]+ [A-Z][a-z]+\b", item.text))
    bare = {value.strip(".,") for value in said}
    values = {value for value in bare if len(value) > 4}
    values -= {name for lesson in lessons for spec in lesson.tools for name in spec.properties}
    assert len(values) > 100
    parts = set(re.split(r'["=&<>:,\[\]{} ]+', text))
    assert sorted(values & parts) == []
    assert [value for value in sorted(values) if len(value) > 7 and value in text] == []
