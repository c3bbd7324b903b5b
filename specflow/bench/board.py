"""A recorded game, played by the real coordinator on virtual time.

The actor's next move is a call of one tool, `play`, with the line so far. While it is pending, a result
guesser says what the speculator had guessed, as many seconds later; under each guess a predictor foresees
the next call, which is started. The turn of a model that asks for the call takes no time here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from specflow.bench.games import Game
from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.tool import CallContext, ToolSpec
from specflow.journal.memory import MemoryJournal
from specflow.policy.settings import Budgets, ToolSettings
from specflow.policy.verdict import Speculate
from specflow.prediction.candidate import Candidate
from specflow.prediction.predictor import HistoryItem, TurnContext
from specflow.prediction.result_guess import ResultGuess
from specflow.speculation.lookahead import Lookahead
from specflow.speculation.turn import result_item
from specflow.testing.foreseeing import last_call
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.seeded_loop import SeededLoop
from specflow.testing.static_judge import Rule, StaticJudge

ENDLESS = 100_000_000
FOR_EVER = 1e7
"""Seconds: nothing in a game takes as long, so no time-out ends anything."""

INSTANT = 1e-6
"""Seconds a model turn takes: nearly nothing, but what comes before it and what comes after differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a game is played ahead.

    `guesses` a step; `steps` that calls may run ahead of the real one. `odds` is how likely the first, second
    ... guess is taken to be; below `least_odds` along the path nothing is started. An actor's call has a
    `price` in USD, which the gate weighs against the time it may save. Not more than `at_once` are started at
    a time. `everywhere`: the speculator guesses in wrong branches as well, which is work for nothing.
    `launch_seconds` pass, for everybody, whenever something is started early. `again`: a window is opened in
    the step after a hit, too, when the real run has come to it. `results`: where an early call has returned,
    what follows is started for that, not for guesses alone. `perfect`: the one guess is right, and at once.
    """

    guesses: int
    steps: int = 1
    odds: Sequence[float] = (1.0, 1.0, 1.0)
    least_odds: float = 0.0
    price: float = 0.0
    at_once: int = ENDLESS
    everywhere: bool = False
    launch_seconds: float = 0.0
    again: bool = False
    results: bool = True
    perfect: bool = False


@dataclass(slots=True, kw_only=True)
class Played:
    """`seconds` of the run; calls of the actor and of the speculator, and the seconds they ran for."""

    seconds: float = 0.0
    calls: int = 0
    busy: float = 0.0
    asked: int = 0
    most: int = 0


class Board:
    """One game. The world knows its line, and answers anything else after as long a thought."""

    def __init__(self, game: Game, manner: Manner) -> None:
        self._game, self._manner = game, manner
        self._lines = [" ".join(step.move for step in game[:at]) for at in range(len(game) + 1)]
        self._running = 0
        self._guessed: set[str] = set()
        self._asked = ""
        self._reached: dict[str, asyncio.Event] = {}
        self.played = Played()

    def _at(self, line: str) -> int:
        return len(line.split())

    async def play(self, call: Call, context: CallContext) -> Any:
        """The actor thinks, and says its move."""
        line = call.args["line"]
        at, began = self._at(line), asyncio.get_running_loop().time()
        if context.early and self._manner.launch_seconds:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, SeededLoop)
            loop.advance(self._manner.launch_seconds)
        self.played.calls += 1
        self._running += 1
        self.played.most = max(self.played.most, self._running)
        try:
            await asyncio.sleep(self._game[at].seconds)
        finally:
            self._running -= 1
            self.played.busy += asyncio.get_running_loop().time() - began
        return self._game[at].move if line == self._lines[at] else "[other]"

    async def guess(self, call: Call, context: TurnContext) -> Sequence[ResultGuess]:
        """What the speculator says of that position, after the time it took."""
        line, manner = call.args["line"], self._manner
        at = self._at(line)
        right = line == self._lines[at]
        if at + 1 >= len(self._game) or not (right or manner.everywhere):
            return ()
        if manner.again:
            await self._reached.setdefault(line, asyncio.Event()).wait()
        step = self._game[at]
        self.played.asked += 1
        if manner.perfect:
            return [ResultGuess(value=step.move, confidence=1.0, predictor=self.name)]
        await asyncio.sleep(step.guess_seconds[manner.guesses])
        said = step.guesses[manner.guesses] if right else [f"[wrong {n}]" for n in range(manner.guesses)]
        self._guessed.update(f"{line} {move}".strip() for move in said)
        return [
            ResultGuess(value=move, confidence=odds, predictor=self.name)
            for move, odds in zip(said, manner.odds, strict=False)
        ]

    name = "speculator"

    async def foresee(self, context: TurnContext) -> Sequence[Candidate]:
        """After a move comes the next one."""
        past = last_call(context)
        if past is None:
            return ()
        line = f"{past.args['line']} {past.result}".strip()
        if self._at(line) >= len(self._game) or not (self._manner.results or line in self._guessed):
            return ()
        if line == self._asked:
            return ()  # the real run makes that call now
        return [Candidate(call=_play(line), confidence=1.0, predictor=self.name)]

    async def run(self) -> Played:
        """Play it. Seconds are virtual."""
        core = self._core()
        loop = asyncio.get_running_loop()
        began = loop.time()
        history: tuple[HistoryItem, ...] = ()
        for at, step in enumerate(self._game):
            self._asked = self._lines[at]
            call = _play(self._asked)
            turn = core.begin(history=history)
            await asyncio.sleep(INSTANT)
            core.end(turn, [call])
            self._reached.setdefault(call.args["line"], asyncio.Event()).set()
            move = await core.call(call)
            assert move == step.move, "what was guessed changes nothing"
            history = (result_item(call, move),)
        self.played.seconds = loop.time() - began
        await core.settle()
        return self.played

    def _core(self) -> ScriptedCore:
        manner = self._manner
        schema = {"type": "object", "properties": {"line": {"type": "string"}}, "required": ["line"]}
        tool = ToolSpec(name="play", parameters=schema, runner=self.play)
        settings = ToolSettings(timeout=FOR_EVER, reads=(), cost_usd=manner.price)
        rule = Rule(effect=EffectClass.READ_ONLY, speculate=Speculate.NOW, settings=settings)
        # A guess and the call it leads to are a hypothesis each; the first guess is of a real call.
        ahead = Lookahead(
            depth=2 * manner.steps - 1,
            breadth=manner.guesses,
            branches=ENDLESS,
            min_odds=manner.least_odds,
            seconds=FOR_EVER,
        )
        # How far it goes is the manner's to say, not a budget's.
        budgets = Budgets(
            max_concurrent=manner.at_once,
            max_branches=ENDLESS,
            max_depth=ENDLESS,
            max_per_minute=ENDLESS,
            max_wasted_usd=ENDLESS,
            max_wasted_share=1.0,
        )
        return ScriptedCore(
            [tool],
            StaticJudge({"play": rule}, budgets=budgets),
            MemoryJournal(LoopClock()),
            predictors=[self],
            result_guessers=[self],
            lookahead=ahead,
        )


def _play(line: str) -> Call:
    return Call(tool="play", args={"line": line})
