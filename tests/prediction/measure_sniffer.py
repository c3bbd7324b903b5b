"""Measures the sniffer on recorded runs: python tests/prediction/measure_sniffer.py [--misses N]

Every model turn is fed as it was recorded (reasoning, then visible text, in pieces of 12 characters), with
the conversation before it; the tools have schemas but no effect classes. The guess of a turn is its live
candidate with the highest confidence at the end of the text, the first of equals.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.prediction.candidate import Candidate
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.predictor import HistoryItem, PastCall, TurnContext
from specflow.prediction.sniffer import ReasoningSniffer

FILES = ("dev_airline_tasks0-9.jsonl.xz", "dev_retail.jsonl.xz")


def data_folder() -> Path | None:
    """Where the recorded runs are, or None."""
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("SPECFLOW_DATA") or beside)
    return folder if all((folder / name).exists() for name in FILES) else None


@dataclass(frozen=True, slots=True)
class Turn:
    """One recorded model turn with what came before it."""

    suite: str
    model: str
    registry: ToolRegistry
    history: tuple[HistoryItem, ...]
    reasoning: str
    text: str
    calls: tuple[Call, ...]


def turns_of(run: dict[str, Any]) -> Iterator[Turn]:
    """The model turns of one run that have any text."""
    tools = [tool["function"] for tool in run["tools"]]
    registry = ToolRegistry(
        ToolSpec(name=tool["name"], description=tool.get("description", ""), parameters=tool["parameters"])
        for tool in {tool["name"]: tool for tool in tools}.values()
    )
    history: list[HistoryItem] = []
    for turn in run["turns"]:
        text, reasoning = turn.get("content") or "", turn.get("reasoning") or ""
        calls = [(call["id"], call["name"], call["args"] or {}) for call in turn.get("tool_calls") or []]
        if turn["role"] == "assistant" and (text.strip() or reasoning.strip()):
            made = tuple(Call(tool=name, args=args) for _, name, args in calls)
            yield Turn(
                run["env"]["domain"], run["model"][:34], registry, tuple(history), reasoning, text, made
            )
        if text:
            history.append(HistoryItem(role=turn["role"], text=text))
        results = {result["id"]: result for result in turn.get("tool_results") or []}
        for key, name, args in calls:
            result = results.get(key, {"content": "", "error": False})
            content = str(result["content"])
            failed = bool(result["error"]) or content.startswith("Error")
            past = PastCall(tool=name, args=args, result=content, failed=failed)
            history.append(HistoryItem(role="tool", text=content, call=past))


def recorded(folder: Path) -> Iterator[Turn]:
    """All model turns with text of all recorded runs."""
    for name in FILES:
        with lzma.open(folder / name, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield from turns_of(json.loads(line))


@dataclass(slots=True)
class Heard:
    """What the sniffer said about one turn: live candidates with the position where each was said."""

    live: dict[Call, tuple[Candidate, int]] = field(default_factory=dict)
    retracted: int = 0

    @property
    def top(self) -> Candidate | None:
        ranked = sorted(self.live.values(), key=lambda entry: -entry[0].confidence)
        return ranked[0][0] if ranked else None


def listen(sniffer: ReasoningSniffer, turn: Turn, *, piece: int = 12) -> Heard:
    """Feed a turn to a fresh listener."""
    ear = sniffer.listen(TurnContext(tools=turn.registry, history=turn.history))
    heard, at = Heard(), 0
    chunks = [(ChunkKind.REASONING, turn.reasoning), (ChunkKind.TEXT, turn.text)]
    for kind, text in chunks:
        for start in range(0, len(text), piece):
            at = start + piece + (len(turn.reasoning) if kind is ChunkKind.TEXT else 0)
            _note(heard, ear.hear(Chunk(kind=kind, text=text[start : start + piece])), at)
    _note(heard, ear.end(), at)
    return heard


def _note(heard: Heard, proposals: Any, at: int) -> None:
    for proposal in proposals:
        if isinstance(proposal, Candidate):
            heard.live[proposal.call] = (proposal, at)
        else:
            heard.live.pop(proposal.call, None)
            heard.retracted += 1


@dataclass(slots=True)
class Score:
    """Counts of one model."""

    steps: int = 0
    guessed: int = 0
    first: int = 0
    message: int = 0
    launched: int = 0
    launched_right: int = 0
    replies: int = 0
    false_turns: int = 0
    false_calls: int = 0
    false_writes: int = 0
    fractions: list[float] = field(default_factory=list)

    def row(self) -> list[str]:
        middle = sorted(self.fractions)[len(self.fractions) // 2] if self.fractions else float("nan")
        return [
            str(self.steps),
            str(self.guessed),
            _share(self.message, self.guessed),
            _share(self.first, self.guessed),
            _share(self.first, self.steps),
            f"{_share(self.launched_right, self.launched)} of {self.launched}",
            f"{middle:.2f}",
            str(self.replies),
            str(self.false_turns),
            str(self.false_calls),
            str(self.false_writes),
        ]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2f}" if whole else "-"


HEAD = (
    "domain | model | call steps with text | guessed | top guess is a call of the message | top guess is its "
    "first call | recall (first call) | all guesses right | median place | reply turns | with a false launch "
    "| false launches | of these writes"
)
READS = ("get_", "find_", "search_", "list_", "calculate", "think")


def measure(folder: Path, minimum: float, misses: int) -> dict[tuple[str, str], Score]:
    """Scores by (domain, model); prints `misses` wrong guesses and silences to stderr."""
    scores: dict[tuple[str, str], Score] = defaultdict(Score)
    sniffer = ReasoningSniffer(min_confidence=minimum)
    for turn in recorded(folder):
        heard = listen(sniffer, turn)
        for key in ((turn.suite, turn.model), (turn.suite, "all")):
            _count(scores[key], turn, heard)
        wrong = heard.top is not None and heard.top.call not in turn.calls
        if misses and (wrong or (turn.calls and heard.top is None)) and random.random() < misses / 100:
            _show(turn, heard)
    return scores


def _count(score: Score, turn: Turn, heard: Heard) -> None:
    top = heard.top
    if not turn.calls:
        score.replies += 1
        score.false_turns += bool(heard.live)
        score.false_calls += len(heard.live)
        score.false_writes += sum(not call.tool.startswith(READS) for call in heard.live)
        return
    score.steps += 1
    if top is None:
        return
    score.guessed += 1
    score.launched += len(heard.live)
    score.launched_right += sum(call in turn.calls for call in heard.live)
    score.message += top.call in turn.calls
    if top.call == turn.calls[0]:
        score.first += 1
        score.fractions.append(min(1.0, heard.live[top.call][1] / len(turn.reasoning + turn.text)))


def _show(turn: Turn, heard: Heard) -> None:
    text = (turn.reasoning[-500:] + "\n  | " + turn.text[-400:]).replace("\n", "\n    ")
    guesses = [f"{c.confidence} {c.call} <- {c.evidence[-150:]!r}" for c, _ in heard.live.values()]
    sys.stderr.write(
        f"--- {turn.model}\n    {text}\n  said: {guesses}\n  was:  {list(map(str, turn.calls))[:3]}\n"
    )


def speed(length: int) -> float:
    """Nanoseconds of processor time per character of prose, in pieces of 12 characters; best of three."""
    spec = ToolSpec(
        name="search_flights",
        description="Search flights.",
        parameters={
            "type": "object",
            "properties": {name: {"type": "string"} for name in ("origin", "destination", "date")},
            "required": ["origin", "destination", "date"],
        },
    )
    prose = (
        "The traveller wants a cheap trip in December and mentioned two cities. Prices were higher last "
        "year, so I should look at the dates first. Let me search flights from OSL to LIS on 2026-12-12, "
        "then compare. "
    )
    text = (prose * (length // len(prose) + 1))[:length]
    best = float("inf")
    for _ in range(3):
        ear = ReasoningSniffer().listen(TurnContext(tools=ToolRegistry([spec])))
        start = time.process_time_ns()
        for at in range(0, length, 12):
            ear.hear(Chunk(kind=ChunkKind.REASONING, text=text[at : at + 12]))
        best = min(best, (time.process_time_ns() - start) / length)
    return best


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--misses", type=int, default=0, help="per cent of wrong guesses to print")
    parser.add_argument("--min-confidence", type=float, default=0.25)
    options = parser.parse_args()
    folder = data_folder()
    if folder is None:
        sys.stderr.write("no recorded runs: set SPECFLOW_DATA to their folder\n")
        return 2
    out = sys.stdout.write
    out(f"| {HEAD} |\n|" + "---|" * (HEAD.count("|") + 1) + "\n")
    for (suite, model), score in sorted(measure(folder, options.min_confidence, options.misses).items()):
        out(f"| {suite} | {model} | " + " | ".join(score.row()) + " |\n")
    out(
        "\ncharacters heard: "
        + ", ".join(f"{n}: {speed(n):.0f} ns each" for n in (1_000, 10_000, 100_000))
        + "\n"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
