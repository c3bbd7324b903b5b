"""Recorded chess games: the published algorithm as a configuration of the core, and what more it can do.

Every figure is the mean over the games of the share of time saved in a game, on virtual time, with the real
coordinator. Source of the algorithm, and of the games: arXiv 2510.04371.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

from specflow.bench.board import ENDLESS, Board, Manner, Played
from specflow.bench.effort import Effort
from specflow.bench.games import STEPS, Game, read_games
from specflow.bench.paired import quartiles
from specflow.bench.row import Row, skipped
from specflow.errors import ConfigurationError
from specflow.testing.explore import run

BENCH, METRIC, UNIT = "chess", f"time saved, first {STEPS} steps", "%"
VARIABLE = "SPECFLOW_CHESS_DATA"
PUBLISHED = {1: 11.8, 2: 15.0, 3: 19.5}
WINDOW_AGAIN = {1: 12.4, 2: 16.1, 3: 22.9}
CHAINED = {1: 15.8, 2: 24.1, 3: 33.8}
GOAL = 30.4
"""0.9 of what three guesses a step give in chains when their branches cost nothing."""

LAUNCH_SECONDS = 0.001
"""Charged for each call that is started early: more than the core takes for it (see the note of the rows)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Nothing is started below these `odds` along its path, nor more than `at_once` calls, nor what is not
    worth the `price` of an actor's call in USD (a second is worth a cent).
    """

    odds: float = 0.0
    at_once: int = ENDLESS
    price: float = 0.0

    def __str__(self) -> str:
        said = [
            f"odds from {self.odds:g}" if self.odds else "",
            f"{self.at_once} actors at once" if self.at_once != ENDLESS else "",
            f"{self.price:g} USD a call" if self.price else "",
        ]
        return ", ".join(filter(None, said))


LIMITS = (
    *(Limits(odds=odds) for odds in (0.05, 0.03, 0.02, 0.01, 0.005)),
    *(Limits(odds=0.01, at_once=actors) for actors in (8, 16)),
    *(Limits(price=price) for price in (0.02, 0.01, 0.005)),
)
"""What is tried for chains whose branches are charged."""

Manners = Callable[[Sequence[Game], int], Manner]
"""How a game is played ahead; it may learn from the other games, never from that one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """All games, played in one manner. `saved` are shares of the sequential time."""

    games: Sequence[Game]
    played: Sequence[Played]

    @property
    def saved(self) -> list[float]:
        """Of each game."""
        return [
            1 - one.seconds / in_sequence(game) for one, game in zip(self.played, self.games, strict=True)
        ]

    @property
    def note(self) -> str:
        """Each game, and what it cost."""
        each = ", ".join(f"{100 * saved:.1f}" for saved in self.saved)
        calls, needed = sum(one.calls for one in self.played), sum(map(len, self.games))
        busy = sum(one.busy for one in self.played) / sum(map(in_sequence, self.games))
        asked, most = sum(one.asked for one in self.played), max(one.most for one in self.played)
        return (
            f"games {each}; {calls - needed} of {calls} actor calls wasted, {busy:.1f} times its seconds, "
            f"at most {most} at once; speculator asked {asked} times"
        )


def rows(effort: Effort) -> Iterator[Row]:
    """The published figures, then chains with and without the cost of branches, and the oracle."""
    path = effort.data or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if path is None:
        why = f"no recorded games: name their file with --data or {VARIABLE}"
        yield skipped(BENCH, "recorded games", METRIC, UNIT, why)
        return
    if not path.is_file():
        raise ConfigurationError(
            f"there is no file {path}", hint=f"name recorded games with --data or {VARIABLE}"
        )
    games = read_games(path)
    yield from _reproduced(games, effort)
    yield from _ours(games, effort)


def _reproduced(games: Sequence[Game], effort: Effort) -> Iterator[Row]:
    for case, figures, manner in (
        ("published", PUBLISHED, published),
        ("window after a hit, too", WINDOW_AGAIN, window_again),
        ("guesses chained, branches free", CHAINED, chained),
    ):
        for guesses, figure in figures.items():
            effort.tell(f"chess: {case}, {guesses} guesses")
            match = play(games, always(manner(guesses)))
            yield _row(f"{case}: {guesses} a step", match, figure, f"baseline: the published {figure:g}")


def _ours(games: Sequence[Game], effort: Effort) -> Iterator[Row]:
    effort.tell("chess: oracle")
    several = play(games, always(Manner(guesses=1, steps=STEPS, perfect=True)))
    single = play(games, always(Manner(guesses=1, perfect=True)))
    bound = 100 * mean(several.saved)
    yield _row("oracle, one step ahead", single, bound, "baseline: the oracle, several steps")
    free = play(games, always(replace(chained(3), results=True)))
    best = 100 * mean(free.saved)
    yield _row("chains that see early results, branches free: 3 a step", free, bound, f"oracle {bound:.1f}")
    for limits in LIMITS[3:4] if effort.quick else LIMITS:
        effort.tell(f"chess: branches charged, {limits}")
        match = play(games, charging(3, limits))
        regret = best - 100 * mean(match.saved)
        note = f"baseline: the goal; oracle {bound:.1f}, regret {regret:.1f}"
        yield _row(f"branches charged, {limits}: 3 a step", match, GOAL, note)


def published(guesses: int) -> Manner:
    """While the actor thinks, each guess of its move starts the next call; no window after a hit."""
    return Manner(guesses=guesses, results=False)


def window_again(guesses: int) -> Manner:
    """As published, with a window in the step after a hit, too."""
    return Manner(guesses=guesses, steps=STEPS, again=True, results=False)


def chained(guesses: int) -> Manner:
    """Under each guess the speculator goes on at once; branches cost nothing and are known to be wrong."""
    return Manner(guesses=guesses, steps=STEPS, results=False)


def always(manner: Manner) -> Manners:
    """The same for every game."""
    return lambda _games, _at: manner


def charging(guesses: int, limits: Limits) -> Manners:
    """The speculator works in wrong branches, too, every start takes time, what is not worth it is left."""

    def manner(games: Sequence[Game], at: int) -> Manner:
        return Manner(
            guesses=guesses,
            steps=STEPS,
            odds=odds_of([game for other, game in enumerate(games) if other != at], guesses),
            least_odds=limits.odds,
            at_once=limits.at_once,
            price=limits.price,
            everywhere=True,
            launch_seconds=LAUNCH_SECONDS,
        )

    return manner


def odds_of(games: Sequence[Game], guesses: int) -> tuple[float, ...]:
    """How often the first, second ... guess was right: the rule of succession."""
    ranks = [step.rank(guesses) for game in games for step in game]
    return tuple((ranks.count(rank) + 1) / (len(ranks) + 2) for rank in range(guesses))


def play(games: Sequence[Game], manner: Manners) -> Match:
    """Every game by itself, on virtual time."""
    played = [run(Board(game, manner(games, at)).run(), max_steps=ENDLESS) for at, game in enumerate(games)]
    return Match(games=games, played=played)


def in_sequence(game: Game) -> float:
    """Seconds without any speculation."""
    return sum(step.seconds for step in game)


def _row(case: str, match: Match, baseline: float, note: str) -> Row:
    saved = 100 * mean(match.saved)
    low, high = quartiles([100 * one / baseline for one in match.saved])
    return Row(
        bench=BENCH,
        case=case,
        metric=METRIC,
        value=saved,
        unit=UNIT,
        baseline=baseline,
        ratio=saved / baseline,
        n=len(match.games),
        low=low,
        high=high,
        note=f"{note}; {match.note}",
    )
