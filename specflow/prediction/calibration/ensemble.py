"""One probability for each call that predictors propose, and which of them are believed at all just now.

It learns from every turn that has ended: all that was proposed in it, started or not, is right if the message
asked for that very call. A call that several predictors propose together counts as the guess of all of them,
which begins with the highest of their probabilities and has outcomes of its own. So does one that a predictor
proposes alone where others often say the same before it, and this time did not: their silence counts.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final, TypeVar

from specflow.errors import ConfigurationError
from specflow.prediction.calibration.bins import Bin, Bins, log_odds
from specflow.prediction.calibration.curve import squeezed
from specflow.prediction.calibration.misses import Misses
from specflow.prediction.calibration.stages import MOST_KEYS, Source, Stages
from specflow.prediction.calibration.threshold import threshold
from specflow.prediction.calibration.watch import Watch

SWITCHED_OFF: Final = "switched_off"
DRIFTED: Final = "drifted"
FREE_FORM: Final = "free_form"

IN_TIME: Final = " in time"
"""Marks, after the names of predictors, what their words are worth where a call may also come later."""

WITHOUT: Final = " without "
"""Marks what a predictor's words are worth where those behind it could have said the same, and did not."""

SILENCE = 0.5
"""How much less likely their silence makes a call before any outcome is known, in log-odds."""

FIRST = 2.0
"""So many calls of a tool that have come later, as was hoped, count as much as the bare word for one more."""

LATELY = 500.0
"""Guesses that a reliability diagram shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where guesses are made: `domain` names the set of tools, `model` who is guessed about."""

    domain: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Guess:
    """A distinct call of `tool` that was proposed in a turn; `said` is each predictor's own confidence."""

    tool: str
    said: dict[str, float] = field(default_factory=dict)

    def hear(self, predictor: str, confidence: float) -> None:
        """It is proposed; of one predictor the highest confidence counts."""
        self.said[predictor] = max(self.said.get(predictor, 0.0), confidence)


class Ensemble:
    """Belongs to the runtime, shared by its sessions; safe from any thread. No draw, no clock.

    With a `precision` in (0, 1), only guesses are started that are right in that share, tool by tool.

    Raises:
        ConfigurationError: the precision is none.
    """

    def __init__(self, stages: Stages | None = None, *, precision: float | None = None) -> None:
        if precision is not None and not 0 < precision < 1:
            raise ConfigurationError(f"precision={precision!r} is no share", hint="0.8, for example")
        self.precision = precision
        self._stages = stages or Stages()
        self._lock = threading.Lock()
        self._off: set[str] = set()
        self._watches: OrderedDict[tuple[str, str], Watch] = OrderedDict()
        self._misses: OrderedDict[tuple[str, str, str], Misses] = OrderedDict()
        self._before = _before(self._stages)
        self._diagrams: OrderedDict[str, tuple[Bins, Bins]] = OrderedDict()

    # ------------------------------------------------------------------ asked

    def probability(
        self, tool: str, said: Mapping[str, float], scene: Scene, *, in_time: bool = False
    ) -> float:
        """How likely a call is right, of which each predictor says so much; 0 if none is believed.

        It is right if the next message asks for it; `in_time`: if any does while its result would be good.
        That is more than was said only as far as calls of this very tool have come so: what those of others
        are worth later says nothing of a tool that nobody may ever call.
        """
        with self._lock:
            heard = {name: word for name, word in said.items() if not self._reason(tool, name, scene)}
            if not heard:
                return 0.0
            worth = self._by_itself if len(said) == 1 else self._together
            following = worth(tool, heard, scene)
            if not in_time:
                return following
            later = worth(tool, heard, scene, IN_TIME)
            word = max(heard.values())
            if later > word:
                came = max(self._stages.came(_source(tool, name + IN_TIME, scene)) for name in heard)
                later = word + (later - word) * came / (came + FIRST)
            # What comes next comes in time.
            return max(following, later)

    def reason(self, tool: str, said: Iterable[str], scene: Scene) -> str:
        """Why nothing that these predictors say of the tool is believed; empty if something is."""
        with self._lock:
            reasons = [self._reason(tool, name, scene) for name in said]
        return reasons[0] if reasons and all(reasons) else ""

    def threshold(
        self, tool: str, said: Iterable[str], scene: Scene, precision: float, *, in_time: bool = False
    ) -> float:
        """The probability from which on guesses of the tool, by these predictors together, have lately been
        right in that share; `in_time` as in `probability`.
        """
        with self._lock:
            names = list(said)
            name = (self._without(names[0]) if len(names) == 1 else "") or _names(names)
            source = _source(tool, name + (IN_TIME if in_time else ""), scene)
            return threshold(self._stages.outcomes(source), precision)

    def needed(self, tool: str, said: Iterable[str], scene: Scene, *, in_time: bool = False) -> float:
        """The probability that such a guess needs, for the precision that is asked for; 0 if none is."""
        if self.precision is None:
            return 0.0
        return self.threshold(tool, said, scene, self.precision, in_time=in_time)

    def reliability(self) -> dict[str, dict[str, list[Bin]]]:
        """For each predictor, and for those that agree (`a+b`), how its latest guesses ended: by what it
        `said`, and by what was `believed` of it.
        """
        with self._lock:
            return {
                name: {"said": list(said), "believed": list(believed)}
                for name, (said, believed) in sorted(self._diagrams.items())
            }

    # ------------------------------------------------------------------ told

    def switch(self, predictor: str, *, on: bool) -> None:
        """Nothing of that predictor is believed from now on, or is again. It is listened to either way."""
        with self._lock:
            (self._off.discard if on else self._off.add)(predictor)

    def learn(self, guesses: Mapping[str, Guess], made: Mapping[str, str], scene: Scene) -> None:
        """A turn has ended: these were proposed in it, and the message asks for `made`; both by a key that is
        the same for the same call. The values of `made` are the names of the tools.
        """
        called = set(made.values())
        with self._lock:
            met: dict[tuple[str, str], bool] = {}
            for key, guess in guesses.items():
                self._learn(guess, key in made, scene)
                for name in guess.said if guess.tool in called else ():
                    met[name, guess.tool] = met.get((name, guess.tool), False) or key in made
            for (name, tool), right in met.items():
                _kept(self._misses, (name, scene.domain, tool), Misses).saw(right=right)

    def learn_in_time(self, guess: Guess, scene: Scene, *, right: bool) -> None:
        """The conversation has asked for the guessed call while its result would have been good (`right`), or
        has not until then.
        """
        tool, said = guess.tool, guess.said
        with self._lock:
            for some in ({name: word} for name, word in said.items()):
                self._in_time(tool, some, right, scene)
            if len(said) > 1:
                self._in_time(tool, said, right, scene)
            self._begun(tool, said, right, scene, IN_TIME)

    def _in_time(self, tool: str, said: Mapping[str, float], right: bool, scene: Scene) -> None:
        names, word = _names(said), self._word(tool, said, scene, IN_TIME)
        self._stages.saw(_source(tool, names + IN_TIME, scene), word, right=right)

    def _learn(self, guess: Guess, right: bool, scene: Scene) -> None:
        tool, said = guess.tool, guess.said
        if len(said) > 1:
            highest = max(self._alone(tool, name, word, scene) for name, word in said.items())
            self._outcome(tool, _names(said), highest, right, scene)
            self._before.update(combinations(said, 2))
        self._begun(tool, said, right, scene)
        for name, word in said.items():
            self._outcome(tool, name, word, right, scene)

    def _begun(self, tool: str, said: Mapping[str, float], right: bool, scene: Scene, mark: str = "") -> None:
        """Whoever proposed it first was alone then."""
        if silent := self._silence(tool, said, scene, mark):
            self._stages.saw(*silent, right=right)

    def _outcome(self, tool: str, name: str, word: float, right: bool, scene: Scene) -> None:
        believed = self._alone(tool, name, word, scene)
        _kept(self._watches, (name, scene.domain), Watch).saw(believed, right=right)
        diagram = _kept(self._diagrams, name, lambda: (Bins(LATELY), Bins(LATELY)))
        diagram[0].saw(word, right=right)
        diagram[1].saw(believed, right=right)
        self._stages.saw(_source(tool, name, scene), word, right=right)

    # ------------------------------------------------------------------ one call

    def _together(self, tool: str, said: Mapping[str, float], scene: Scene, mark: str = "") -> float:
        word = self._word(tool, said, scene, mark)
        return self._stages.probability(_source(tool, _names(said) + mark, scene), word)

    def _word(self, tool: str, said: Mapping[str, float], scene: Scene, mark: str) -> float:
        """What it begins with: a predictor's own word, of several the highest of what theirs are worth."""
        if len(said) == 1:
            return next(iter(said.values()))
        return max(self._together(tool, {name: word}, scene, mark) for name, word in said.items())

    def _by_itself(self, tool: str, said: Mapping[str, float], scene: Scene, mark: str = "") -> float:
        """The same, of a call that nobody else has proposed so far."""
        silent = self._silence(tool, said, scene, mark)
        return self._stages.probability(*silent) if silent else self._together(tool, said, scene, mark)

    def _silence(
        self, tool: str, said: Mapping[str, float], scene: Scene, mark: str
    ) -> tuple[Source, float] | None:
        """By what a call is known that the first of these alone has proposed, and what it begins with; None
        where nobody is missed.
        """
        first, word = next(iter(said.items()))
        name = self._without(first)
        if not name:
            return None
        word = word if mark else self._alone(tool, first, word, scene)
        return _source(tool, name + mark, scene), squeezed(log_odds(word) - SILENCE)

    def _without(self, name: str) -> str:
        """What a predictor is known by where those say nothing that mostly propose its calls before it does;
        empty if nobody does.
        """
        before, off = self._before, self._off
        ahead = sorted(
            one
            for one, other in before
            if other == name and one not in off and before[one, name] > before[name, one]
        )
        return f"{name}{WITHOUT}{'+'.join(ahead)}" if ahead else ""

    def _alone(self, tool: str, name: str, word: float, scene: Scene) -> float:
        return self._stages.probability(_source(tool, name, scene), word)

    def _reason(self, tool: str, name: str, scene: Scene) -> str:
        if name in self._off:
            return SWITCHED_OFF
        watch = self._watches.get((name, scene.domain))
        if watch is not None and watch.off:
            return DRIFTED
        misses = self._misses.get((name, scene.domain, tool))
        return FREE_FORM if misses is not None and misses.hopeless else ""


def _before(stages: Stages) -> Counter[tuple[str, str]]:
    """Who has proposed calls before whom, as far as something was learned of it."""
    found: Counter[tuple[str, str]] = Counter()
    for (_, predictor, *_), _ in stages:
        name, _, others = predictor.removesuffix(IN_TIME).partition(WITHOUT)
        found.update((other, name) for other in others.split("+") if other)
    return found


def _names(said: Iterable[str]) -> str:
    return "+".join(sorted(said))


def _source(tool: str, name: str, scene: Scene) -> Source:
    return Source(predictor=name, tool=tool, domain=scene.domain, model=scene.model)


K = TypeVar("K")
V = TypeVar("V")


def _kept(table: OrderedDict[K, V], key: K, make: Callable[[], V]) -> V:
    """The entry of the key, made when there is none; the one not told of for longest makes room."""
    found = table.get(key)
    if found is None:
        while len(table) >= MOST_KEYS:
            table.popitem(last=False)
        found = table[key] = make()
    table.move_to_end(key)
    return found
