"""What each trait is worth: for every call, for those of one tool, and in a situation for each name."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from specflow.prediction.history.chooser import Options, softmax
from specflow.prediction.history.ftrl import Ftrl
from specflow.prediction.history.keys import Key, traits_of
from specflow.prediction.history.remembered import WordTraits
from specflow.prediction.history.scopes import Scopes
from specflow.prediction.history.situations import MOST, Situations, rounded

EVERY = "*"
"""The owner of weights that hold for every tool alike, those never seen before, too."""

UNMOVED = 1e-3
"""Differences of probability that are too small to learn from."""

HARDLY_MOVED = 5e-3
"""The same for names, whose weights in a situation are many."""

MOST_BLOCKS = 200_000
"""Blocks that are kept looked up."""

_VERSIONS = itertools.count(1)


@dataclass(slots=True, eq=False)
class Block:
    """The indices of the weights of one key, for every tool and for its own; and their `total`, by weights of
    that `version`. Always the same object for a key.
    """

    at: tuple[int, ...]
    version: int = 0
    total: float = 0.0


class _Blocks(dict[Key, Block]):
    """The blocks of one name, made when they are asked for."""

    def __init__(self, make: Callable[[Key], Block]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: Key) -> Block:
        made = self[key] = self._make(key)
        return made


@dataclass(slots=True)
class Compiled:
    """Options by their weights: `blocks[i]` of option i, and the numbers of the traits of the situation."""

    names: list[str]
    blocks: list[list[Block]]
    situation: Sequence[int]
    scopes: tuple[str, ...] = ()
    scoped: tuple[str, ...] = ()


class Weights:
    """The weights of the softmax. Not safe from several threads at once."""

    def __init__(self) -> None:
        self._traits = Ftrl(rate=0.1, l1=0.2, l2=1.0)
        self._situations = Situations()
        self._scopes = Scopes()
        self._of: dict[str, dict[str, int]] = {EVERY: {}}
        self._blocks: dict[str, _Blocks] = {}
        self._kept = 0
        self.version = next(_VERSIONS)

    def blank(self) -> Weights:
        """Weights for the same traits, all zero."""
        made = Weights()
        made._of, made._blocks, made._kept = self._of, self._blocks, self._kept
        made._traits, made._situations = self._traits.blank(), self._situations.blank()
        return made

    def take_mean(self, others: Sequence[Weights]) -> None:
        """Become the mean of blank copies that have learned apart."""
        self._traits.take_mean([other._traits for other in others])  # noqa: SLF001 - of the same class
        self._situations.take_mean([other._situations for other in others])  # noqa: SLF001 - of the same class
        self.version = next(_VERSIONS)

    def compile(self, options: Options) -> Compiled:
        """The options as blocks of weights; what is new gets some."""
        rows, before = [], None
        common: tuple[Block, ...] = ()
        for name, keys, shared in zip(options.names, options.keys, options.shared, strict=True):
            known = self._blocks.get(name)
            if known is None:
                known = self._blocks[name] = _Blocks(partial(self._block, name))
            if shared is not before:
                before, common = shared, tuple(map(known.__getitem__, shared))
            rows.append([*map(known.__getitem__, keys), *common])
        numbers = [*self._numbers(options), *self._words(options.words)]
        return Compiled(options.names, rows, numbers, options.scopes, options.scoped)

    def situation(self, options: Options) -> dict[str, float]:
        """The part of each name's score that the situation makes, whatever the call."""
        situations, words = self._situations, options.words
        found = situations.scores(self._numbers(options))
        if words.version != self.version:
            words.worth, words.version = situations.scores(self._words(words)), self.version
        for name, value in words.worth.items():
            found[name] = found.get(name, 0.0) + value
        self._scopes.add(found, options.scopes, options.scoped)
        return found

    def _numbers(self, options: Options) -> Sequence[int]:
        """The numbers of the situation, looked up once for those options."""
        if options.numbered_by is not self._situations.numbered_by:
            options.numbers = self._situations.numbers(options.situation)
            options.numbered_by = self._situations.numbered_by
        return options.numbers

    def _words(self, words: WordTraits) -> Sequence[int]:
        """The numbers of what was said, which are looked up once."""
        if words.numbered_by is not self._situations.numbered_by:
            words.numbers = self._situations.numbers(words.traits)
            words.numbered_by = self._situations.numbered_by
        return words.numbers

    def scores(self, compiled: Compiled, situation: Mapping[str, float] | None = None) -> list[float]:
        """The score of each option; `situation` as it came out before."""
        if situation is None:
            situation = self._situations.scores(compiled.situation)
            self._scopes.add(situation, compiled.scopes, compiled.scoped)
        value, version, found = self._traits.values.__getitem__, self.version, []
        for name, blocks in zip(compiled.names, compiled.blocks, strict=True):
            total = situation.get(name, 0.0)
            for block in blocks:
                if block.version != version:
                    block.version, block.total = version, sum(map(value, block.at))
                total += block.total
            found.append(total)
        return found

    def learn(self, compiled: Compiled, right: int) -> list[float]:
        """Option `right` was the one. Returns the probabilities from before this was known."""
        found = softmax(self.scores(compiled))
        by_block: dict[Block, float] = {}
        pulls: dict[str, float] = {}
        for at, (name, blocks, probability) in enumerate(
            zip(compiled.names, compiled.blocks, found, strict=True)
        ):
            pull = probability - (at == right)
            if abs(pull) < UNMOVED:
                continue
            pulls[name] = pulls.get(name, 0.0) + pull
            for block in blocks:
                by_block[block] = by_block.get(block, 0.0) + pull
        traits: dict[int, float] = {}
        for block, pull in by_block.items():
            for index in block.at:
                traits[index] = traits.get(index, 0.0) + pull
        self._traits.step(traits)
        self.version = next(_VERSIONS)
        moved = {name: pull for name, pull in pulls.items() if abs(pull) >= HARDLY_MOVED}
        if moved:
            self._situations.learn(compiled.situation, moved)
            self._scopes.learn(compiled.scopes, compiled.scoped, moved)
        return found

    def _block(self, name: str, key: Key) -> Block:
        if self._kept >= MOST_BLOCKS:
            self._blocks.clear()
            self._kept = 0
        self._kept += 1
        return Block(tuple(self._indices(name, key)))

    def _indices(self, name: str, key: Key) -> Iterator[int]:
        traits = traits_of(key)
        for owner in (EVERY, name):
            known = self._of.setdefault(owner, {})
            for trait in traits:
                at = known.get(trait)
                if at is None and len(self._traits.values) < MOST:
                    at = known[trait] = self._traits.new()
                if at is not None:
                    yield at

    def as_json(self, keeps: Iterable[str] | None = None) -> dict[str, Any]:
        """The weights that are not zero, and how often each has moved. `keeps`: the only paths to name."""
        kept = None if keeps is None else frozenset(keeps)
        return {
            "traits": rounded({owner: self._learned(entries, kept) for owner, entries in self._of.items()}),
            "situations": rounded(self._situations.written()),
            "scopes": self._scopes.as_json(),
        }

    def _learned(
        self, entries: Mapping[str, int], keeps: frozenset[str] | None
    ) -> dict[str, tuple[float, float]]:
        """The weights of one owner that are not zero, of those that are kept."""
        values, squares = self._traits.values, self._traits.squares
        return {
            trait: (values[at], squares[at])
            for trait, at in entries.items()
            if values[at] and (keeps is None or not trait.startswith("via=") or path_of(trait) in keeps)
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Weights:
        """Weights as they were written.

        Raises:
            KeyError, TypeError, ValueError: the data has another shape.
        """
        made = cls()
        for owner, entries in data["traits"].items():
            made._of[owner] = {
                name: made._traits.restore(float(value), float(squares))
                for name, (value, squares) in entries.items()
            }
        made._situations.read(data["situations"])
        made._scopes = Scopes.from_json(data.get("scopes", {}))
        return made


def path_of(trait: str) -> str:
    """The path in a trait `via=parameter<path`."""
    return trait.partition("<")[2]
