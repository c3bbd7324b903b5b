"""One softmax over the reply, the calls of the pool, and for each tool a call that is not in the pool."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from specflow.prediction.history.calls import of_calls
from specflow.prediction.history.dialogue import USER, Args, Dialogue
from specflow.prediction.history.keys import Key
from specflow.prediction.history.pool import MOST, Pooled, pool
from specflow.prediction.history.remembered import WordTraits
from specflow.prediction.history.tables import REPLY, Tables
from specflow.prediction.history.traits import log_step, of_scope, of_situation, of_words, small
from specflow.prediction.history.worth_a_look import Worthy, every


@dataclass(slots=True)
class Options:
    """What may come next. `names[i]` is the tool (or the reply) of option i, `args[i]` its arguments, or
    None for the reply and for calls that are not in the pool; `keys[i]` what speaks for it, and `shared[i]`
    what does so for others of its tool as well, always the same object for all of them. `cut` are
    the tools of which not all likely calls were looked at; `scoped` is the situation as it is learned of each
    of `scopes`. `numbers` are those that `numbered_by` gave the traits of the situation.
    """

    situation: list[str]
    words: WordTraits
    scopes: tuple[str, ...] = ()
    scoped: tuple[str, ...] = ()
    names: list[str] = field(default_factory=list)
    args: list[Args | None] = field(default_factory=list)
    keys: list[list[Key]] = field(default_factory=list)
    shared: list[Sequence[Key]] = field(default_factory=list)
    cut: set[str] = field(default_factory=set)
    numbers: Sequence[int] = ()
    numbered_by: object = None

    def add(
        self, name: str, args: Sequence[Args | None], keys: list[list[Key]], shared: Sequence[Key]
    ) -> None:
        """Options of one name."""
        many = len(args)
        self.names += [name] * many
        self.args += args
        self.keys += keys
        self.shared += [shared] * many

    def place_of(self, tool: str, args: Args | None) -> int:
        """Which option a call is; -1 if it is none of them."""
        other = -1
        for at, name in enumerate(self.names):
            if name == tool:
                if self.args[at] == args:
                    return at
                if self.args[at] is None:
                    other = at
        return other


def options(
    tables: Tables,
    dialogue: Dialogue,
    tools: Iterable[str],
    early: Callable[[str], bool],
    worth: Callable[[Options], Worthy] = lambda _options: every,
) -> Options:
    """The reply, likely calls of the tools that may be called early, and one for each tool's other calls.

    `worth` is shown the situation first, and says how many calls of each tool are looked at.
    """
    found = Options(of_situation(dialogue), of_words(dialogue), dialogue.scopes, of_scope(dialogue))
    worthy = worth(found)
    chances = tables.next_names(dialogue)
    found.add(REPLY, (None,), [[("reply", log_step(chances.get(REPLY, 0.0)))]], ())
    made, called, event = dialogue.made, dialogue.called, dialogue.events[-1]
    last, from_user, goes_on_for = event.rstrip("!"), event == USER, small(dialogue.run, 4)
    named = dialogue.heard_topics.named
    goes_on: Key = ("agent", dialogue.agent, event, "")
    goes_on_otherwise: Key = ("agent", dialogue.agent, event, "&other")
    for tool in tools:
        chance = chances.get(tool, 0.0)
        pooled: list[Pooled] = []
        fresh: list[bool] = []
        if early(tool):
            most = worthy(tool, chance)
            if most < MOST:
                found.cut.add(tool)
            if most:
                pooled = pool(tables, dialogue, tool, most=most)
        times, just, unused = small(called.get(tool, 0), 5), last == tool, 0
        if pooled:
            fresh = [(tool, one.args) not in made for one in pooled] if times else [True] * len(pooled)
            unused = small(sum(fresh), 4)
        run = goes_on_for if just else 0
        shared = (log_step(chance), times, just, unused, run, *named(tool), from_user)
        if pooled:
            keys = of_calls(dialogue, tool, pooled, fresh)
            found.add(tool, [one.args for one in pooled], keys, (("tool", *shared), goes_on))
        found.add(tool, (None,), [[("other", small(len(pooled)), *shared), goes_on_otherwise]], ())
    return found


def softmax(scores: Sequence[float]) -> list[float]:
    top = max(scores)
    powers = [math.exp(score - top) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]
