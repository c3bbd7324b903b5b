"""Drawing a case: what a `random.Random` decides, and nothing else, so that a seed is a case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any, Literal, TypeVar

from specflow.effects.kind import EffectClass
from specflow.testing.lossless.case import (
    Agent,
    Ask,
    Case,
    Foresight,
    Guess,
    Manner,
    Person,
    Run,
    Step,
    Talk,
    What,
)
from specflow.testing.lossless.kinds import ASKED_FOR, KINDS, conflict
from specflow.testing.lossless.program import BOOKING, NUMBER

T = TypeVar("T")
CELLS = "ABC"
VALUES = {"cell": CELLS, "source": CELLS, "target": CELLS, "seat": ("1A", "1B"), "text": ("hello", "bye")}
EVERYBODY = frozenset({"first", "second", "seer"})
PREDICTORS = (None, None, None, None, EVERYBODY, EVERYBODY, EVERYBODY, frozenset({"first"}))
FIXED = frozenset({"area", "source", "target", "booking"})
ASKED: tuple[Person, ...] = ("yes", "yes", "yes", "yes", "yes", "yes", "silent", "no", "edit")
UNASKED: tuple[Person, ...] = ("yes",) * 14 + ("edit",)
NUMBERS = (NUMBER, 1, 2, 5)
SCOPES = ("session", "thread", "thread", "tenant", "public")
TIMES = (0.0, 0.0, 0.1, 1.0, 3.0)
GUESSES: tuple[tuple[What, int], ...] = (
    ("right", 16), ("near", 3), ("other", 6), ("later", 5), ("back", 2), ("flood", 1), ("nonsense", 1),
)  # fmt: skip


def draw(random: Random, *, seed: int = 0, size: int = 4) -> Case:
    """A case of about `size` steps a run. Everything but the order of events is drawn from `random`."""
    return _Draw(random, size).case(seed)


class _Draw:
    def __init__(self, random: Random, size: int) -> None:
        self._random = random
        self._size = size
        self._loose = self._breaks = self._many = False

    def case(self, seed: int) -> Case:
        """All of it."""
        self._loose = self._chance(0.3)
        self._breaks = self._chance(0.3)
        self._many = not self._breaks and self._chance(0.18)
        tools = set(self._some(ASKED_FOR, 2, 6)) if self._chance(0.8) else {"scan", "recall", "refresh"}
        if self._chance(0.8):
            tools |= {"look", self._one(("put", "add", "move", "post"))}
        self._tools = sorted(tools - {"send"} if self._breaks else tools)
        talks = tuple(self._talk(number) for number in range(2 if self._many else 1))
        case = Case(
            seed=seed,
            talks=talks,
            manners={name: self._manner(name) for name in KINDS},
            latency={name: self._one(TIMES) for name in KINDS},
            stubborn=frozenset(name for name in self._tools if self._chance(0.1)),
            stumbling=frozenset(name for name in KINDS if self._chance(0.1)),
            # Whoever foresees does not know which conversation is asking.
            foresight=self._foresight() if self._chance(0.45) and not self._many else None,
            at_once=self._one((64, 64, 64, 4, 2, 1)),
            breaks=self._breaks,
            step_seconds=self._one((0.0, 0.0, 0.001, 0.2)),
        )
        scoped = {
            name: replace(manner, scope=self._one(SCOPES)) if manner.ttl is not None else manner
            for name, manner in case.manners.items()
        }
        return replace(case, manners=scoped)

    # ------------------------------------------------------------------ who works where

    def _talk(self, number: int) -> Talk:
        # What a cancelled run leaves unknown bars other conversations from it, until somebody settles it.
        stops = not self._many and self._chance(0.1)
        cancelled = self._one((0.3, 1.0, 2.0, 5.0, 9.0)) if stops else None
        several = cancelled is None and not self._breaks and self._chance(0.25)
        runs = self._one((1, 1, 1, 2, 3))
        return Talk(
            thread=f"talk {number}",
            agents=tuple(self._agent(number, place, runs) for place in range(2 if several else 1)),
            keyed=self._chance(0.3),
            cancelled=cancelled,
        )

    def _agent(self, talk: int, place: int, runs: int) -> Agent:
        self._area = f"{'pq'[talk]}{place}"
        # Few asks, so that guesses for one step are right, or in the way, at another.
        self._pool = [self._ask() for _ in range(self._random.randint(3, 8))]
        return Agent(
            name="main" if place == 0 else f"sub {place}",
            area=self._area,
            runs=tuple(self._run() for _ in range(runs)),
        )

    def _run(self) -> Run:
        return Run(
            steps=tuple(self._step() for _ in range(self._random.randint(1, self._size))),
            ending=self._one(("answer",) * 8 + ("model_error", "cancelled")),
            guesses=self._guesses(),
            pause=self._one((0.0, 0.0, 1.0, 70.0) if self._breaks else (0.0, 1.0, 70.0, 400.0)),
        )

    def _step(self) -> Step:
        return Step(
            options=tuple(self._message() for _ in range(self._one((1, 1, 2, 3)))),
            guesses=self._guesses(),
            think=self._one((0.0, 0.2, 2.0, 8.0)),
            wait=self._one((0.0,) * 8 + (0.5, 70.0)),
            broken=int(self._chance(0.05)),
        )

    # ------------------------------------------------------------------ calls

    def _message(self) -> tuple[Ask, ...]:
        """Calls side by side: none whose order would show, but perhaps two that are equal."""
        chosen: list[Ask] = []
        for _ in range(self._one((1, 2, 2, 3))):
            ask = self._one(self._pool)
            if self._chance(0.1):
                ask = self._ask()
            if all(_side_by_side(ask, other) for other in chosen):
                chosen += [ask] * (1 + (self._chance(0.1) and _side_by_side(ask, ask)))
        return tuple(chosen)

    def _ask(self) -> Ask:
        tool = self._one(self._tools)
        args = {name: self._value(name) for name in KINDS[tool].takes if name != "note"}
        if tool == "move":
            args["target"] = self._one([cell for cell in CELLS if cell != args["source"]])
        if "note" in KINDS[tool].takes and self._chance(0.3):
            args["note"] = self._one(("x", "y"))
        person = self._one(ASKED if KINDS[tool].effect is EffectClass.CONFIRMATION_REQUIRED else UNASKED)
        names = [name for name in args if name not in FIXED] if person == "edit" else []
        return Ask(
            tool=tool,
            args=args,
            person=person if names or person != "edit" else "yes",
            edited={name: self._value(name) for name in names[:1]},
            again=self._chance(0.05),
            delay=self._one((0.0,) * 6 + (0.1, 2.0, 70.0)),
        )

    def _value(self, name: str) -> Any:
        if name == "cell" and self._loose and self._chance(0.4):
            return self._one(CELLS.lower())
        return {"area": self._area, "booking": BOOKING}.get(name) or self._one(VALUES.get(name, NUMBERS))

    # ------------------------------------------------------------------ guesses

    def _guesses(self) -> tuple[Guess, ...]:
        made = tuple(self._guess() for _ in range(self._random.randint(0, 5)))
        return tuple(sorted(made, key=lambda guess: guess.at))

    def _guess(self) -> Guess:
        words, weights = zip(*GUESSES, strict=True)
        what: What = self._random.choices(words, weights)[0]
        return Guess(
            at=self._one((0.0, 0.0, 0.1, 0.3, 0.5, 0.9)),
            what=what,
            which=self._random.randint(0, 5),
            ask=(self._one(self._pool) if self._chance(0.7) else self._ask()) if what == "other" else None,
            predictor=self._one(("first", "first", "second")),
            confidence=self._one((0.9, 0.9, 0.9, 0.9, 0.7, 0.3)),
        )

    def _foresight(self) -> Foresight:
        return Foresight(
            width=self._one((1, 1, 2)),
            results=self._one(("right", "right", "wrong", "both")),
            seconds=self._one((0.0, 0.0, 0.2)),
        )

    # ------------------------------------------------------------------ the policy

    def _manner(self, tool: str) -> Manner:
        kind = KINDS[tool]
        if not kind.asked_for:
            return Manner(loose=self._loose, footprint="right")
        return Manner(
            early=self._chance(0.95),
            footprint=self._one(("right", "right", "right", "right", "wide", "none")),
            strict=self._strict() if self._chance(0.05) else "",
            undo=self._chance(0.9),
            keyed=self._chance(0.4),
            ttl=self._one((None, None, 0.5, 5.0, 1000.0)) if not kind.effect.writes else None,
            loose=self._loose,
            min_confidence=self._one((0.0, 0.0, 0.0, 0.0, 0.5, 0.8)),
            predictors=self._one(PREDICTORS),
            at_once=self._one((None,) * 8 + (1,)),
        )

    def _strict(self) -> Literal["confirm", "deny"]:
        return "deny" if self._breaks else self._one(("confirm", "deny"))

    # ------------------------------------------------------------------ dice

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _one(self, items: Sequence[T]) -> T:
        return items[self._random.randrange(len(items))]

    def _some(self, items: Sequence[T], least: int, most: int) -> list[T]:
        return self._random.sample(list(items), self._random.randint(least, most))


def _side_by_side(one: Ask, other: Ask) -> bool:
    if one.args == other.args and one.tool == other.tool and one.edited == other.edited:
        # What is not known to have happened bars its equal: which of two is the first would show.
        return one.tool != "post" and one.person == other.person and one.delay == other.delay
    pairs = [(mine, its) for mine in _forms(one) for its in _forms(other)]
    return not any(conflict(one.tool, mine, other.tool, its) for mine, its in pairs)


def _forms(ask: Ask) -> list[dict[str, Any]]:
    return [dict(ask.args), {**ask.args, **ask.edited}]
