"""The published algorithm is a configuration of the core: to the digit on the recorded games, where there are
any, and by arithmetic on generated ones.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from specflow.bench import chess
from specflow.bench.board import Manner
from specflow.bench.formulas import critical_path
from specflow.bench.games import Game, Step, read_games
from specflow.cli.bench import bench
from specflow.errors import ConfigurationError

RECORDED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "chess_gpt5.jsonl.xz"
needs_games = pytest.mark.skipif(
    not RECORDED.is_file(), reason="the recorded games are other people's data and not in the repository"
)


def saved(games: tuple[Game, ...], manner: Manner) -> float:
    return 100 * mean(chess.play(games, chess.always(manner)).saved)


@needs_games
@pytest.mark.parametrize("guesses", [1, 2, 3])
def test_the_published_figures_to_the_digit(guesses: int) -> None:
    games = read_games(RECORDED)
    # The figures are those of the means over games, to the digit: 19.547 and 22.950 are below the half.
    for figures, manner in (
        (chess.PUBLISHED, chess.published),
        (chess.WINDOW_AGAIN, chess.window_again),
        (chess.CHAINED, chess.chained),
    ):
        found = saved(games, manner(guesses))
        assert f"{found:.1f}" == f"{figures[guesses]:.1f}", found


@needs_games
def test_three_guesses_with_their_branches_charged_reach_the_goal() -> None:
    games = read_games(RECORDED)
    for limits in (chess.Limits(odds=0.02), chess.Limits(odds=0.01, at_once=8), chess.Limits(price=0.01)):
        match = chess.play(games, chess.charging(3, limits))
        assert 100 * mean(match.saved) >= chess.GOAL, limits
    manner = chess.charging(3, chess.Limits(odds=0.02))(games, 0)
    assert manner.everywhere
    assert manner.launch_seconds > 0
    others = [game for game in games if game is not games[0]]
    assert manner.odds == chess.odds_of(others, 3), "nothing is learned from the game itself"


seconds = st.integers(1, 400).map(lambda number: number / 4)


@st.composite
def games_of(draw: st.DrawFn) -> Game:
    count = draw(st.integers(1, 8))
    steps = []
    for at in range(count):
        right = draw(st.booleans())
        guess = f"m{at}" if right else "wrong"
        took = draw(seconds) + 1 / 8  # never in the same instant as an answer
        steps.append(
            Step(move=f"m{at}", seconds=draw(seconds), guesses={1: (guess,)}, guess_seconds={1: took})
        )
    return tuple(steps)


def by_hand(game: Game, *, again: bool) -> float:
    """The published algorithm, without a core."""
    total = head = 0.0
    for step in game:
        left = max(0.0, step.seconds - head)
        window = again or not head
        head = max(0.0, left - step.guess_seconds[1]) if window and step.rank(1) is not None else 0.0
        total += left
    return total


@settings(max_examples=25, deadline=None)
@given(games_of())
def test_the_published_algorithm_on_any_game(game: Game) -> None:
    (played,) = chess.play([game], chess.always(chess.published(1))).played
    assert played.seconds == pytest.approx(by_hand(game, again=False), abs=1e-3)
    (played,) = chess.play([game], chess.always(chess.window_again(1))).played
    assert played.seconds == pytest.approx(by_hand(game, again=True), abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(games_of())
def test_chains_take_the_critical_path(game: Game) -> None:
    calls = [step.seconds for step in game]
    # A guess that is wrong never comes, nor one that comes after its answer.
    guesses = [
        step.guess_seconds[1]
        if step.rank(1) is not None and step.guess_seconds[1] < step.seconds
        else math.inf
        for step in game
    ]
    (played,) = chess.play([game], chess.always(chess.chained(1))).played
    assert played.seconds == pytest.approx(critical_path(guesses, calls), abs=1e-3)
    # An early answer is as good as a guess.
    known = [min(guess, call) for guess, call in zip(guesses, calls, strict=True)]
    (seen,) = chess.play([game], chess.always(replace(chess.chained(1), results=True))).played
    assert seen.seconds == pytest.approx(critical_path(known, calls), abs=1e-3)
    (oracle,) = chess.play([game], chess.always(Manner(guesses=1, steps=len(game), perfect=True))).played
    assert oracle.seconds == pytest.approx(max(calls), abs=1e-3)


def run(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(bench)
    return CliRunner().invoke(app, ["chess", "--json", *arguments])


def test_without_games_the_bench_says_how_to_name_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(chess.VARIABLE, raising=False)
    result = run()
    assert result.exit_code == 0
    (row,) = json.loads(result.stdout)
    assert row["n"] == 0
    assert chess.VARIABLE in row["note"]


@pytest.mark.parametrize(
    "text",
    ["", "not json", "[]", '{"steps": []}', '{"steps": [{"move": 1}]}', '{"steps": 7}', "\x00"],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "games.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"games\.jsonl"):
        read_games(path)
    (tmp_path / "games.jsonl.xz").write_bytes(b"no archive")
    with pytest.raises(ConfigurationError):
        read_games(tmp_path / "games.jsonl.xz")
    result = run("--data", str(tmp_path / "missing.jsonl"))
    assert isinstance(result.exception, ConfigurationError)


def test_a_file_of_games_is_played(tmp_path: Path) -> None:
    step = {
        "move": "a",
        "actor_s": 2.0,
        "guesses": {str(k): ["a", "b", "c"][:k] for k in (1, 2, 3)},
        "guess_s": {"1": 0.5, "2": 0.5, "3": 0.5},
    }
    path = tmp_path / "games.jsonl"
    path.write_text(json.dumps({"steps": [step] * 31}) + "\n", encoding="utf-8")
    rows = json.loads(run("--data", str(path), "--quick").stdout)
    cases = {row["case"]: row for row in rows}
    # Every second step is free but for the guess: 15 * 0.5 + 15 * 2 of 60.
    assert cases["published: 1 a step"]["value"] == pytest.approx(100 * (1 - 37.5 / 60), abs=1e-2)
    assert all(row["n"] == 1 for row in rows)
