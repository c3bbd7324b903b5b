"""The formulas of what can be gained, beside the real coordinator: on virtual time and on the wall clock.

On virtual time nothing but the waiting itself takes time, so the two must agree up to rounding, or the
coordinator waits for something it should not. On the wall clock they differ by what our own work costs.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from specflow.bench.board import Board, Manner
from specflow.bench.effort import Effort
from specflow.bench.formulas import (
    breadth,
    critical_path,
    exponential_saving,
    hiding_bound,
    is_worth_it,
    one_step_ahead,
    published_saving,
    sequential,
)
from specflow.bench.games import Step
from specflow.bench.paired import paired
from specflow.bench.row import Row, row
from specflow.bench.walk import Stride, shared_out, walk
from specflow.replay.hurried_loop import run_hurried
from specflow.testing.explore import run

BENCH = "formula"
STEPS = 20
TURNS = (1.0, 4.0)
GUESSES = (0.25, 0.75)
"""When the guess comes, as a share of the turn."""
TOOLS = (0.5, 2.0, 8.0)
RIGHT = (1.0, 0.5, 0.0)
HURRY = 20.0
"""Seconds of the formula in a second of the wall clock: a model turn of 4 s takes 200 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A run of `steps` steps, and the seconds the formula gives it. `play` takes them."""

    case: str
    steps: int
    play: Callable[[], Coroutine[Any, Any, float]]
    formula: float
    note: str


def _walking(case: str, strides: Sequence[Stride], formula: float, note: str) -> Setting:
    return Setting(case=case, steps=len(strides), play=lambda: walk(strides), formula=formula, note=note)


def one_ahead(turn: float, guess: float, tool: float, right: float, steps: int = STEPS) -> Setting:
    """`steps` steps of which a share is guessed right."""
    strides = tuple(
        Stride(turn=turn, guess=guess, tool=tool, guesses=(hit,)) for hit in shared_out(steps, right)
    )
    return _walking(
        case=f"G={turn:g} g={guess:g} T={tool:g} a={right:g}",
        strides=strides,
        formula=one_step_ahead(steps, turn, guess, tool, right),
        note=f"sequential {sequential(steps, turn, tool):g} s",
    )


def broad(one_in: int, guesses: int, turn: float = 4.0, guess: float = 1.0, tool: float = 2.0) -> Setting:
    """Every combination of `guesses` independent guesses of which one in `one_in` is right, once each."""
    outcomes = tuple(product([True, *[False] * (one_in - 1)], repeat=guesses))
    right = breadth(1 / one_in, guesses)
    return _walking(
        case=f"k={guesses}, each right 1 in {one_in}: G={turn:g} g={guess:g} T={tool:g}",
        strides=tuple(Stride(turn=turn, guess=guess, tool=tool, guesses=drawn) for drawn in outcomes),
        formula=one_step_ahead(len(outcomes), turn, guess, tool, right),
        note=f"p(k) = {right:.4g}; sequential {sequential(len(outcomes), turn, tool):g} s",
    )


def hidden(turn: float, tool: float) -> Setting:
    """Everything guessed right at once: what can be hidden behind the turns is hidden."""
    share = tool / (turn + tool)
    alone = sequential(STEPS, turn, tool)
    return _walking(
        case=f"all hidden: G={turn:g} g=0 T={tool:g}",
        strides=(Stride(turn=turn, guess=0.0, tool=tool),) * STEPS,
        formula=alone / hiding_bound(share),
        note=f"share of tool time {share:.3g}; sequential {alone:g} s",
    )


def undone(tool: float, undo: float, right: float, turn: float = 4.0, guess: float = 1.0) -> Setting:
    """Writes that are in each other's way: a wrong one is awaited and undone before the right one begins."""
    strides = tuple(
        Stride(turn=turn, guess=guess, tool=tool, guesses=(hit,), write=True, undo=undo)
        for hit in shared_out(STEPS, right)
    )
    overlap, overhead = min(tool, turn - guess), max(0.0, guess + tool - turn)
    alone = sequential(STEPS, turn, tool)
    pays = is_worth_it(right, overlap, overhead, undo)
    return _walking(
        case=f"undo {undo:g} s: G={turn:g} g={guess:g} T={tool:g} a={right:g}",
        strides=strides,
        formula=alone - STEPS * (right * overlap - (1 - right) * (overhead + undo)),
        note=f"{'' if pays else 'not '}worth it; sequential {alone:g} s",
    )


def several(guesses: Sequence[float], calls: Sequence[float]) -> Setting:
    """Every result is guessed right, and what follows is started: the critical path."""
    steps = [
        Step(move=f"{at}", seconds=call, guesses={1: (f"{at}",)}, guess_seconds={1: guess})
        for at, (guess, call) in enumerate(zip(guesses, calls, strict=True))
    ]
    # An answer that is there before its guess is as good.
    known = [min(guess, call) for guess, call in zip(guesses, calls, strict=True)]
    return Setting(
        case=f"several steps: g={guesses[0]:g} ... {guesses[-1]:g} T={calls[0]:g} ... {calls[-1]:g}",
        steps=len(steps),
        play=lambda: _played(steps, Manner(guesses=1, steps=len(steps))),
        formula=critical_path(known, calls),
        note=f"sequential {sum(calls):g} s",
    )


def exponential(right: float, guess_rate: float, call_rate: float, steps: int, seed: int = 0) -> Setting:
    """Exponential times, and the published algorithm: no window after a hit."""
    draw = random.Random(seed)  # noqa: S311 - repeatable on purpose, guards nothing
    calls, guesses = (_exponential(rate, steps, draw) for rate in (call_rate, guess_rate))
    hits = list(shared_out(steps, right))
    draw.shuffle(hits)
    game = [
        Step(move="a", seconds=call, guesses={1: ("a" if hit else "b",)}, guess_seconds={1: guess})
        for call, guess, hit in zip(calls, guesses, hits, strict=True)
    ]
    saved, published = (law(right, guess_rate, call_rate) for law in (exponential_saving, published_saving))
    return Setting(
        case=f"exponential times: p={right:g} alpha={guess_rate:g} beta={call_rate:g}, draw {seed}",
        steps=steps,
        play=lambda: _played(game, Manner(guesses=1, results=False)),
        formula=sum(calls) * (1 - saved),
        note=f"saved {saved:.3f}, published bound {published:.3f}; sequential {sum(calls):g} s",
    )


def _exponential(rate: float, count: int, draw: random.Random) -> list[float]:
    """All quantiles, shuffled: their mean and distribution are exact, only their order is drawn."""
    times = [-math.log(1 - (at + 0.5) / count) / rate for at in range(count)]
    draw.shuffle(times)
    return times


async def _played(steps: Sequence[Step], manner: Manner) -> float:
    return (await Board(tuple(steps), manner).run()).seconds


def grid(effort: Effort) -> list[Setting]:
    """All settings on virtual time."""
    tools = TOOLS[: effort.size(len(TOOLS), 2)]
    shares = RIGHT[: effort.size(len(RIGHT), 2)]
    ahead = [
        one_ahead(turn, share * turn, tool, right)
        for turn, share, tool, right in product(TURNS, GUESSES, tools, shares)
    ]
    wide = [broad(one_in, guesses) for one_in in (2, 4) for guesses in (1, 2, 3)]
    writes = [
        undone(tool, undo, right) for tool, undo, right in product((2.0, 8.0), (0.5, 4.0), (0.25, 0.75))
    ]
    chains = [
        several([1.0] * 10, [4.0] * 10),
        several([0.5] * 10, [float(3 + (7 * at) % 10) for at in range(10)]),
        several([float(1 + at % 4) for at in range(12)], [2.0] * 12),
    ]
    return [*ahead, hidden(4.0, 1.0), hidden(4.0, 4.0), *wide, *writes, *chains]


def drawn(effort: Effort) -> list[Setting]:
    """Times that are drawn; the formulas hold for many steps."""
    rates = ((0.5, 4.0, 1.0), (1.0, 8.0, 1.0), (0.3, 1.0, 1.0))
    return [exponential(*one, steps=effort.size(1_600, 50)) for one in rates[: effort.size(3, 1)]]


def on_the_wall(effort: Effort) -> list[Setting]:
    """Fewer, because they take their time."""
    steps = effort.size(10, 2)
    shapes = ((4.0, 1.0, 2.0, 1.0), (4.0, 1.0, 8.0, 1.0), (4.0, 3.0, 2.0, 0.5), (1.0, 0.25, 2.0, 0.5))
    return [one_ahead(*shape, steps=steps) for shape in shapes]


def rows(effort: Effort) -> Iterator[Row]:
    """Virtual seconds beside the formula, n schedules each; then seconds of the wall clock, hurried."""
    for setting in grid(effort):
        effort.tell(f"formula: {setting.case}")
        measured = [run(setting.play(), seed=seed) for seed in range(effort.pairs(5))]
        yield _row(setting, measured, "virtual time")
    for setting in drawn(effort):
        effort.tell(f"formula: {setting.case}")
        yield _row(setting, [run(setting.play(), max_steps=10_000_000)], "virtual time")
    for setting in on_the_wall(effort):
        effort.tell(f"formula: on the wall clock, {setting.case}")
        measured = [run_hurried(setting.play(), speed=HURRY) for _ in range(effort.pairs(5))]
        yield _row(setting, measured, "wall clock")


def _row(setting: Setting, measured: Sequence[float], clock: str) -> Row:
    found = paired(measured, [setting.formula] * len(measured))
    worst = max(abs(one - setting.formula) / setting.formula for one in measured)
    note = f"largest relative error {worst:.1e}; {setting.note}"
    if clock == "wall clock":
        note += f"; {HURRY:g} s of the formula in a second"
    case = setting.case if clock == "virtual time" else f"{clock}: {setting.case}"
    return row(BENCH, case, f"{clock} of {setting.steps} steps", "s", found, note=note)
