"""All benches, by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module

from specflow.bench.effort import Effort
from specflow.bench.row import Row
from specflow.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A bench: its module has `rows(effort)`, which yields each row as soon as it is measured."""

    name: str
    about: str
    module: str

    def rows(self, effort: Effort) -> Iterator[Row]:
        """Measure. The module is imported only now: frameworks take their time to load."""
        found: Iterator[Row] = import_module(f"specflow.bench.{self.module}").rows(effort)
        return found


_ALL = (
    Bench(name="chunk", module="chunk", about="listening to a model's stream, for each token"),
    Bench(name="sniffer", module="sniffing", about="how fast reasoning is read, short and long"),
    Bench(name="history", module="recalling", about="a prediction from the conversation alone"),
    Bench(name="call", module="calling", about="a tool call and a whole agent run without any waiting"),
    Bench(name="journal", module="journaling", about="an effect's intent and outcome, made durable"),
    Bench(name="takeover", module="takeover", about="undoing what a dead process left, on another machine"),
    Bench(name="policy", module="judging", about="loading 2,000 tools, and one decision with 20 rules"),
    Bench(name="gate", module="gating", about="one decision of the gate, and a flood of candidates"),
    Bench(name="agent", module="agent", about="a whole agent over HTTP, sequential and speculative"),
    Bench(name="concurrency", module="concurrency", about="how many sessions at once keep the gain of one"),
    Bench(name="formula", module="formula", about="measured time against what the formulas say"),
    Bench(name="sessions", module="sessions", about="what 1,000 sessions at once leave behind, core alone"),
    Bench(name="chess", module="chess", about="recorded games, beside the published figures (--data FILE)"),
    Bench(name="replay-speed", module="replaying", about="virtual seconds replayed in a second"),
)
BENCHES = {bench.name: bench for bench in _ALL}


def chosen(name: str) -> tuple[Bench, ...]:
    """The bench of that name, or all for the empty name.

    Raises:
        ConfigurationError: there is no such bench.
    """
    if not name:
        return _ALL
    if name not in BENCHES:
        raise ConfigurationError(f"there is no bench {name!r}", hint=f"known: {', '.join(BENCHES)}")
    return (BENCHES[name],)
