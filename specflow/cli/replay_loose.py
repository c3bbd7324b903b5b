"""What loose match modes have changed, said to people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def loose_said(total: Mapping[str, Any]) -> Iterator[str]:
    """Two lines, where any call was answered by one with other arguments."""
    loose = total["loose"]
    if not loose["adopted"]:
        return
    yield (
        f"loose matches: {loose['adopted']} calls answered by an early one with other arguments; "
        f"answers {loose['same']} the same,"
    )
    yield (
        f"  {loose['different']} different, {loose['unknown']} not recorded, in {loose['runs']} of "
        f"{total['runs']} runs; {loose['final_answers']} final answers would differ"
    )
