"""Large files: what is in memory does not grow with them."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from specflow.traces.reading import Reading
from specflow.traces.survey import Survey
from specflow.traces.writing import written

WORDS = "what was said to the customer, and what the customer said to that. " * 30


def traces(kit: Any, name: str, count: int) -> Iterator[str]:
    """Traces whose records are far apart: the ends of all come before the beginnings."""
    late = []
    for number in range(count):
        run = kit.run(order=f"A-{number}")
        run["turns"][0]["content"] = f"{number} {WORDS}"
        *_early, last = kit.formats[name](run, f"t{number}")
        late.append(number)
        yield json.dumps(last)
        if len(late) == 50:
            yield from (line for old in late for line in _rest(kit, name, old))
            late.clear()
    yield from (line for old in late for line in _rest(kit, name, old))


def _rest(kit: Any, name: str, number: int) -> Iterator[str]:
    run = kit.run(order=f"A-{number}")
    run["turns"][0]["content"] = f"{number} {WORDS}"
    yield from map(json.dumps, kit.formats[name](run, f"t{number}")[:-1])


def peak(kit: Any, folder: Path, name: str, count: int) -> tuple[int, int, int]:
    """(the most bytes in memory, bytes of the file, runs) of a conversion."""
    file = folder / f"{name}-{count}.jsonl"
    with file.open("w") as out:
        out.writelines(line + "\n" for line in traces(kit, name, count))
    survey = Survey()
    tracemalloc.start()
    try:
        with written(folder / "out.jsonl.xz") as write:
            for imported in Reading().runs([file]):
                write(imported.line)
                survey.add(imported.run)
        return tracemalloc.get_traced_memory()[1], file.stat().st_size, survey.runs
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["langsmith", "otel", "log", "openai"])
def test_memory_does_not_grow_with_the_file(kit: Any, tmp_path: Path, name: str) -> None:
    peak(kit, tmp_path, name, 20)  # what is imported and cached at the first time
    small, _, few = peak(kit, tmp_path, name, 100)
    large, size, many = peak(kit, tmp_path, name, 700)
    assert (few, many) == (100, 700)
    assert size > 1_000_000
    # The records themselves would be several times the size of the file.
    assert large < small + size / 8
