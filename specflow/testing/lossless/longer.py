"""The same case as a longer conversation: every message of the agent answers the user, who then goes on.

What is read early in one run, and asked for in a later one, is what this is about: so results live on, and
somebody foresees what the next run may ask for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from specflow.testing.lossless.case import Agent, Case, Guess, Manner, Run, Step
from specflow.testing.lossless.kinds import KINDS

SCOPES = ("thread", "thread", "tenant", "public")
TTLS = (1.0, 5.0, 1000.0, 1000.0)
PAUSES = (0.0, 0.5, 3.0)


def longer(case: Case, random: Random) -> Case:
    """Each step of the case as a run of its own; of tools that only read, results outlive them."""
    return replace(
        case,
        talks=tuple(
            replace(talk, agents=tuple(_even(talk.agents, random)), cancelled=None) for talk in case.talks
        ),
        manners={name: _lasting(name, manner, random) for name, manner in case.manners.items()},
        foresees_runs=True,
    )


def _lasting(name: str, manner: Manner, random: Random) -> Manner:
    kind = KINDS[name]
    if kind.effect.writes or not kind.asked_for:
        return manner
    return replace(
        manner,
        early=True,
        strict="",
        predictors=None,
        min_confidence=0.0,
        ttl=random.choice(TTLS),
        scope=random.choice(SCOPES),
    )


def _even(agents: tuple[Agent, ...], random: Random) -> Iterator[Agent]:
    """The agents of a conversation have equally many runs."""
    apart = [[run for whole in agent.runs for run in _apart(whole, random)] for agent in agents]
    most = max(map(len, apart))
    for agent, runs in zip(agents, apart, strict=True):
        idle = [Run(steps=())] * (most - len(runs))
        yield replace(agent, runs=(*runs, *idle))


def _apart(run: Run, random: Random) -> Iterator[Run]:
    for step in run.steps:
        yield Run(
            steps=(_ahead(step, random),),
            guesses=(Guess(at=random.choice((0.0, 0.5)), what="later", which=random.randrange(4)),),
            pause=random.choice(PAUSES),
        )


def _ahead(step: Step, random: Random) -> Step:
    later = Guess(at=random.choice((0.0, 0.5)), what="later", which=random.randrange(4))
    guesses = sorted((*step.guesses, later), key=lambda guess: guess.at)
    return replace(step, guesses=tuple(guesses))
