"""Every example on the page about scripted models runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "model-server.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_the_page_has_its_examples() -> None:
    assert len(BLOCKS) >= 8


@pytest.mark.parametrize("block", BLOCKS, ids=[f"example {number}" for number in range(1, len(BLOCKS) + 1)])
def test_an_example_runs(block: str) -> None:
    exec(compile(block, str(PAGE), "exec"), {"__name__": "example"})
