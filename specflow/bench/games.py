"""Recorded games: each step's move, how long the actor thought, and what a faster model had guessed."""

from __future__ import annotations

import json
import lzma
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from specflow.errors import ConfigurationError

STEPS = 30
"""The published figures are over the first steps of each game."""

HINT = 'a game is a line {"steps": [{"move", "actor_s", "guesses": {"1": [...]}, "guess_s": {"1": 2.5}}]}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`seconds` took the actor. `guesses` of its move, and the `guess_seconds` they took, by their number."""

    move: str
    seconds: float
    guesses: Mapping[int, tuple[str, ...]]
    guess_seconds: Mapping[int, float]

    def rank(self, number: int) -> int | None:
        """The place of the move among so many guesses; None when it is not among them."""
        guesses = self.guesses[number]
        return guesses.index(self.move) if self.move in guesses else None


Game = tuple[Step, ...]


def read_games(path: Path, steps: int = STEPS) -> tuple[Game, ...]:
    """The first `steps` of each game in a file of JSON lines, which may be packed by xz.

    Raises:
        ConfigurationError: it cannot be read, or holds something else.
    """
    try:
        with _opened(path) as lines:
            games = [_game(json.loads(line), steps) for line in lines if line.strip()]
    except (OSError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}", hint=HINT) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise ConfigurationError(f"{path} holds no recorded games: {what}", hint=HINT) from error
    if not games or any(len(game) < steps for game in games):
        raise ConfigurationError(f"{path} holds no games of {steps} steps", hint=HINT)
    return tuple(games)


def _opened(path: Path) -> TextIO:
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def _game(record: Mapping[str, Any], steps: int) -> Game:
    return tuple(_step(step) for step in record["steps"][:steps])


def _step(step: Mapping[str, Any]) -> Step:
    return Step(
        move=str(step["move"]),
        seconds=float(step["actor_s"]),
        guesses={int(number): tuple(map(str, guesses)) for number, guesses in step["guesses"].items()},
        guess_seconds={int(number): float(seconds) for number, seconds in step["guess_s"].items()},
    )
