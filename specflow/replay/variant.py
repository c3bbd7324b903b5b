"""One way to replay every run: who predicts, how long tools take, how sure a guess must be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from specflow.errors import ConfigurationError
from specflow.replay.latency import checked, seconds

THRESHOLD, TOOL_LATENCY, USER_TAKES = "threshold", "tool-latency", "user-takes"
SWEEPS = (THRESHOLD, TOOL_LATENCY, USER_TAKES)
MOST_VALUES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """`takes` is as for `latency`, or `recorded`. `threshold` None: as the policy says. `shuffle`: the seed
    that shuffles the words of the answers, None for their own order. `user_takes`: seconds that users take to
    answer, None where nobody has said. `sweep`, `value` name a sweep's row.
    """

    predictors: tuple[str, ...]
    takes: str
    threshold: float | None = None
    shuffle: int | None = None
    user_takes: float | None = None
    sweep: str = ""
    value: str = ""


def swept(base: Variant, texts: Sequence[str]) -> Iterator[Variant]:
    """The variants that `threshold=0.3,0.5`, `tool-latency=1s,lognormal:2,0.5` or `user-takes=20s` ask for,
    each once.

    Raises:
        ConfigurationError: a text is no sweep, or a value cannot be used.
    """
    seen: set[Variant] = set()
    for text in texts:
        for variant in _swept(base, text):
            if variant not in seen:
                seen.add(variant)
                yield variant
    if len(seen) > MOST_VALUES:
        raise ConfigurationError(f"{len(seen)} values are too many", hint=f"at most {MOST_VALUES}")


def _swept(base: Variant, text: str) -> Iterator[Variant]:
    name, _, rest = text.partition("=")
    # A comma also stands inside `lognormal:MEDIAN,SIGMA`.
    values = [value.strip() for value in re.findall(r"lognormal:[^,]*,[^,]*|[^,]+", rest) if value.strip()]
    name = name.strip()
    if name not in SWEEPS or not values:
        raise ConfigurationError(
            f"{text!r} is no sweep", hint="threshold=0.3,0.5,0.7, tool-latency=1s,2s,5s or user-takes=0s,20s"
        )
    for value in values:
        named = replace(base, sweep=name, value=value)
        if name == THRESHOLD:
            yield replace(named, threshold=_share(value))
        elif name == USER_TAKES:
            yield replace(named, user_takes=seconds(value))
        else:
            # What is no latency is said before the first run is played.
            yield replace(named, takes=checked(value))


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    # Not a number fails this comparison too.
    if not 0 <= value <= 1:
        raise ConfigurationError(f"a threshold of {text!r} cannot be", hint="from 0 to 1")
    return value
