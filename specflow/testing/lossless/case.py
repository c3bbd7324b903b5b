"""What one generated run consists of; plain data, so that it can be printed, cut down and played again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Person = Literal["yes", "no", "edit", "silent"]
Ending = Literal["answer", "model_error", "cancelled"]
What = Literal["right", "near", "other", "later", "back", "flood", "nonsense"]


SHOWN = ("latency", "stubborn", "stumbling", "foresight", "at_once", "breaks", "step_seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One call that an agent may make. `?` and `!` in `args` are a number and a booking it has seen.

    `person` is what becomes of it on its way to the tool: approved, rejected, its arguments replaced by
    `edited`, or `silent`: made without having been approved. `again`: it is made once more under the same
    identity, as a resumed run does. `delay` is in seconds after the message.
    """

    tool: str
    args: Mapping[str, Any]
    person: Person = "yes"
    edited: Mapping[str, Any] = field(default_factory=dict)
    again: bool = False
    delay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """One proposal, at `at` (a share of the thinking time). `which` picks among the calls it is about.

    right: a call of the message. near: one with an argument changed. other: `ask`. later: what a later
    message may ask for. back: an earlier proposal is taken back. flood: two dozen at once. nonsense: a tool
    that there is not, arguments that do not fit.
    """

    at: float
    what: What
    which: int = 0
    ask: Ask | None = None
    predictor: str = "first"
    confidence: float = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A model turn: one of `options` is its message, whichever what was seen before makes it.

    `think` seconds until the message, `wait` until its calls. `broken` streams fail before the one that
    comes to an end.
    """

    options: tuple[tuple[Ask, ...], ...]
    guesses: tuple[Guess, ...] = ()
    think: float = 1.0
    wait: float = 0.0
    broken: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """An agent's way from a user's message to its answer, or to where it ends otherwise."""

    steps: tuple[Step, ...]
    ending: Ending = "answer"
    guesses: tuple[Guess, ...] = ()
    """During the last turn, the one that asks for nothing."""
    pause: float = 0.0
    """Seconds until the next run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One agent. Several in one conversation work side by side, each in its own area."""

    name: str
    area: str
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """A conversation. `keyed`: its runs have keys, so they are told apart without looking at who spoke.

    `cancelled` is the virtual second at which everything in it is cancelled; None: never. Then there is
    one agent only, whose messages are compared as far as they go.
    """

    thread: str
    agents: tuple[Agent, ...]
    keyed: bool = False
    cancelled: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """What the policy says about one tool. `footprint` right, wide (all of a kind) or none (undeclared)."""

    early: bool = True
    footprint: Literal["right", "wide", "none"] = "right"
    strict: Literal["", "confirm", "deny"] = ""
    undo: bool = True
    keyed: bool = False
    verified: bool = True
    ttl: float | None = None
    scope: str = "session"
    loose: bool = False
    min_confidence: float = 0.0
    predictors: frozenset[str] | None = None
    at_once: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """Somebody foresees `width` calls at a time, and after them more; `results` says how results are guessed.

    Each takes `seconds`.
    """

    width: int = 1
    results: Literal["right", "wrong", "both"] = "right"
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One generated run. `seed` decides the schedule; `latency` is seconds per tool, half before it acts.

    Early `stubborn` reads ignore their cancellation; of `stumbling` compensators the first try fails.
    `breaks`: a `post` may lose its answer after it has happened. A model that asks for it again is given what
    is on record, as long as the session lasts, and when a session ends is a matter of time where agents work
    side by side or people are asked: so there nothing breaks. `at_once` early calls may run at a time, and
    `step_seconds` pass at most at each step of the loop. `foresees_runs`: what is guessed to come later may
    come in the next run.
    """

    seed: int
    talks: tuple[Talk, ...]
    manners: Mapping[str, Manner] = field(default_factory=dict)
    latency: Mapping[str, float] = field(default_factory=dict)
    stubborn: frozenset[str] = frozenset()
    stumbling: frozenset[str] = frozenset()
    foresight: Foresight | None = None
    at_once: int = 64
    breaks: bool = False
    step_seconds: float = 0.0
    foresees_runs: bool = False

    @property
    def steps(self) -> Iterator[Step]:
        """Every step of every agent."""
        for talk in self.talks:
            for agent in talk.agents:
                for run in agent.runs:
                    yield from run.steps

    def __str__(self) -> str:
        """One thing a line, without what is as usual."""
        lines = [f"seed {self.seed}, {len(self.talks)} conversations"]
        shown = {name: getattr(self, name) for name in SHOWN}
        lines += [f"  {name}: {value}" for name, value in shown.items() if value]
        lines += [
            f"  {name}: {manner}" for name, manner in sorted(self.manners.items()) if manner != Manner()
        ]
        for talk in self.talks:
            for agent in talk.agents:
                lines.append(f"  {talk.thread}/{agent.name} in {agent.area}: cancelled at {talk.cancelled}")
                for run in agent.runs:
                    lines.append(f"    run, {run.ending}, then {run.pause:g} s; {_guesses(run.guesses)}")
                    lines += [f"      {_step(step)}" for step in run.steps]
        return "\n".join(lines)


def _step(step: Step) -> str:
    asked = " | ".join(" + ".join(map(_ask, option)) for option in step.options)
    times = f"thinks {step.think:g} s, waits {step.wait:g} s" + (
        f", breaks {step.broken}" if step.broken else ""
    )
    return f"{asked}; {times}; {_guesses(step.guesses)}"


def _guesses(guesses: tuple[Guess, ...]) -> str:
    return f"guesses {', '.join(map(_guess, guesses)) or 'nothing'}"


def _guess(guess: Guess) -> str:
    return f"{guess.what} {_ask(guess.ask) if guess.ask else guess.which} at {guess.at:.2f}"


def _ask(ask: Ask) -> str:
    args = ", ".join(f"{name}={value}" for name, value in ask.args.items() if name != "area")
    more = "" if ask.person == "yes" else f" [{ask.person} {dict(ask.edited) or ''}]"
    return f"{ask.tool}({args}){more}{' twice' if ask.again else ''}"
