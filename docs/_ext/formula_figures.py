"""The figures of `explanation/bounds.md`: each formula as a curve, what the coordinator took as dots.

    python docs/_ext/formula_figures.py

draws them anew, in some seconds. A test compares them with those in the repository.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from chart import Chart, Point, Series

from specflow.bench.formula import Setting, broad, one_ahead, several, undone
from specflow.bench.formulas import is_worth_it, one_step_ahead, sequential
from specflow.testing.explore import run

FIGURES = Path(__file__).resolve().parents[1] / "explanation" / "figures"
TURN, GUESS = 4.0, 1.0
SMOOTH = 64


def one_step() -> Chart:
    """A step's time over the tool's."""
    ends = (0.0, TURN - GUESS, 8.0)

    def series(right: float, name: str) -> Series:
        curve = [(tool, one_step_ahead(1, TURN, GUESS, tool, right)) for tool in ends]
        return Series(
            name=name,
            curve=curve,
            dots=[(tool, _step(one_ahead(TURN, GUESS, tool, right))) for tool in (0.5, 2.0, 4.0, 6.0, 8.0)],
        )

    return Chart(
        title=f"One step ahead, G = {TURN:g} s, g = {GUESS:g} s",
        across="T, seconds a call takes",
        up="seconds a step takes",
        ticks=(range(0, 9, 2), range(0, 15, 2)),
        series=[
            series(0.0, "every guess wrong, as in sequence: G + T"),
            series(0.5, "half of the guesses right"),
            series(1.0, "every guess right: max(G, g + T)"),
        ],
    )


def wide() -> Chart:
    """A step's time over the guesses made in it."""
    tool = 2.0

    def series(one_in: int) -> Series:
        def formula(guesses: float) -> float:
            return one_step_ahead(1, TURN, GUESS, tool, 1 - (1 - 1 / one_in) ** guesses)

        return Series(
            name=f"each right with p = 1/{one_in}",
            curve=_curve(formula, 6.0),
            dots=[(float(k), _step(broad(one_in, k, TURN, GUESS, tool))) for k in range(1, 5)],
        )

    return Chart(
        title=f"k guesses a step, G = {TURN:g} s, g = {GUESS:g} s, T = {tool:g} s",
        across="k, guesses a step",
        up="seconds a step takes",
        ticks=(range(7), range(8)),
        series=[series(4), series(3), series(2)],
        below=True,
    )


def worth() -> Chart:
    """The time of steps with early writes over the share of right guesses."""
    tool = 2.0
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)

    def series(undo: float) -> Series:
        turning = undo / (undo + min(tool, TURN - GUESS))
        assert is_worth_it(turning + 1e-9, min(tool, TURN - GUESS), 0.0, undo)
        assert not is_worth_it(turning - 1e-9, min(tool, TURN - GUESS), 0.0, undo)
        return Series(
            name=f"undo {undo:g} s: worth it from a = {turning:.2f}",
            curve=[(share, undone(tool, undo, share).formula / 20) for share in (0.0, 1.0)],
            dots=[(share, _step(undone(tool, undo, share))) for share in shares],
        )

    alone = sequential(1, TURN, tool)
    return Chart(
        title=f"Early writes, G = {TURN:g} s, g = {GUESS:g} s, T = {tool:g} s",
        across="a, share of guesses that are right",
        up="seconds a step takes",
        ticks=(shares, range(0, 17, 2)),
        series=[
            Series(name="in sequence", curve=[(0.0, alone), (1.0, alone)], dashed=True),
            *(series(undo) for undo in (0.5, 2.0, 6.0)),
        ],
        below=True,
    )


def several_steps() -> Chart:
    """The time of a run of calls whose results are guessed."""
    call, guess = 4.0, 1.0
    counts = range(1, 11)

    def ahead(count: int) -> Setting:
        return several([guess] * count, [call] * count)

    return Chart(
        title=f"Guessed results, g = {guess:g} s, T = {call:g} s",
        across="N, calls that need each other's results",
        up="seconds the run takes",
        ticks=(range(0, 11, 2), range(0, 41, 10)),
        series=[
            Series(name="in sequence", curve=[(1.0, call), (10.0, 10 * call)], dashed=True),
            Series(
                name="every guess right: the critical path",
                curve=[(float(count), ahead(count).formula) for count in counts],
                dots=[(float(count), run(ahead(count).play())) for count in counts],
            ),
        ],
    )


FIGURE: dict[str, Callable[[], Chart]] = {
    "one-step": one_step,
    "breadth": wide,
    "worth-it": worth,
    "several-steps": several_steps,
}


def _step(setting: Setting) -> float:
    """Virtual seconds of one step, measured."""
    return run(setting.play()) / setting.steps


def _curve(formula: Callable[[float], float], until: float) -> list[Point]:
    return [(until * at / SMOOTH, formula(until * at / SMOOTH)) for at in range(SMOOTH + 1)]


def drawn(names: Iterable[str] = FIGURE) -> Iterator[tuple[str, str]]:
    """File name and text of each figure."""
    for name in names:
        yield f"{name}.svg", FIGURE[name]().svg()


def main() -> None:
    FIGURES.mkdir(exist_ok=True)
    for name, text in drawn(sys.argv[1:] or FIGURE):
        (FIGURES / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
