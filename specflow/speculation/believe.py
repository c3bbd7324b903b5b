"""From what predictors say of a call to how likely it is: the ensemble, asked and told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from specflow.prediction.calibration.ensemble import Guess, Scene
from specflow.prediction.candidate import Candidate
from specflow.prediction.history.patterns import kit_of
from specflow.prediction.partial_call import NAME as WRITTEN
from specflow.speculation.fork import FORK
from specflow.speculation.parts import Mode, Parts
from specflow.speculation.turn import Outlook, Turn

CERTAIN = frozenset({WRITTEN, FORK})
"""Whose calls a model has asked for, or is just asking for: they are no alternatives, and no guesses."""

IMPRECISE = "precision"
"""Why a guess is not started that is too seldom right for the share that is wanted."""


def scene_of(turn: Turn) -> Scene:
    """The set of tools, and the model: by its name, or else by the agent's place in the graph."""
    return Scene(domain=kit_of(turn.context.tools), model=turn.context.model or turn.agent)


def believed(
    parts: Parts, outlook: Outlook, key: str, candidate: Candidate, *, writes: bool, again: bool = False
) -> tuple[Candidate, str]:
    """The candidate with the probability of its call, known by `key`: by all who have proposed it so far
    for this message; of a read that outlives the run, to be asked for while it lives. And why none of them
    is believed: `switched_off`, `drifted`, `free_form`; or that such guesses of the tool are not right
    often enough, `precision`; or empty.

    `again`: it has been here before.
    """
    if again or candidate.predictor in CERTAIN or not outlook.turn.context.speaks:
        return candidate, ""
    said, scene, tool = _said(outlook, key, candidate), scene_of(outlook.turn), candidate.call.tool
    # In shadow mode nothing lives on, and what would have run is counted by the next message alone.
    lives = outlook.turn.session.mode is Mode.ON and life(parts, outlook.turn, tool) is not None
    in_time = lives and not writes
    likely = parts.ensemble.probability(tool, said, scene, in_time=in_time)
    # INVARIANT: of a write, nobody believes more than its predictor says itself.
    candidate = replace(candidate, confidence=min(likely, candidate.confidence) if writes else likely)
    doubt = parts.ensemble.reason(tool, said, scene)
    if not doubt and candidate.confidence < parts.ensemble.needed(tool, said, scene, in_time=in_time):
        doubt = IMPRECISE
    return candidate, doubt


def life(parts: Parts, turn: Turn, name: str) -> float | None:
    """Seconds for which an early result of the tool is good in the conversation, also after this run; None
    where it ends with the run.
    """
    tool = parts.registry.get(name)
    settings = None if tool is None else parts.judge.settings(tool)
    lives = settings is not None and settings.outlives_run and not settings.redact
    return settings.ttl if settings is not None and lives and turn.session.key.thread else None


def _said(outlook: Outlook, key: str, candidate: Candidate) -> Mapping[str, float]:
    if outlook.branch is not None:
        return {candidate.predictor: candidate.confidence}
    guess = outlook.turn.guesses.setdefault(key, Guess(candidate.call.tool))
    guess.hear(candidate.predictor, candidate.confidence)
    return guess.said


def learn(parts: Parts, turn: Turn, made: Mapping[str, str], cause: str) -> None:
    """The model has spoken, and asks for these: the tool of each call, by its key.

    Nothing is learned where it failed (`cause` says how): what it would have asked for nobody knows.
    """
    if turn.guesses and not cause:
        parts.ensemble.learn(turn.guesses, made, scene_of(turn))
